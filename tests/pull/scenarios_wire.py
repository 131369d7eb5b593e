"""Scenarios of connections, lengths, ranges, statuses and redirects. Each says what the registry does."""
import email.utils
import time

from registry_images import EMPTY, Image, noise, tar
from registry_server import Answer, ScriptedRegistry, connecting, problem
from scenario import change, chunked, cut, drip, raw, redirect, say, scenario, slowly

LARGE = 6_000_000


def large(stage):
    """An image with one layer that is worth several connections."""
    return stage.serve(Image([tar({"large": noise(LARGE, 7)})]))


def nearly_once(stage, image, factor=1.05):
    """What went over the wire is hardly more than one pull of it."""
    sent = sum(r.bytes_of("GET blobs") + r.bytes_of("GET manifests") for r in stage.registries)
    stage.test.assertLessEqual(sent, image.wire_size * factor)


# --- connections ---


@scenario("RegistryError", "connect")
def nobody_listens(stage):
    """the port is closed"""
    stage.registry.stop()


@scenario("RegistryError")
def reset_when_connected(stage):
    """every connection is reset before a byte was said"""
    stage.registry.on(connecting, lambda wire, *_: wire.reset())


@scenario("RegistryError")
def closed_without_an_answer(stage):
    """every request gets a closed connection for an answer"""
    stage.registry.on("*", lambda wire, *_: wire.close())


@scenario(None)
def reset_once_when_connected(stage):
    """the first connection is reset, the next ones are good"""
    stage.registry.on(connecting, lambda wire, *_: wire.reset(), times=1)


@scenario("RegistryError")
def another_protocol(stage):
    """what answers is an SSH server"""
    stage.registry.on("*", raw(b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n"))


@scenario("RegistryError")
def binary_noise(stage):
    """what answers is noise"""
    stage.registry.on("*", raw(noise(5000)))


@scenario(None)
def reset_at_byte_k_once(stage):
    """one connection is reset in the middle of a blob"""
    stage.registry.on("GET blobs " + stage.image.layer_digest(1), cut(150_000), times=1)
    yield
    nearly_once(stage, stage.image)


@scenario(None)
def reset_at_many_places(stage):
    """each of the first connections is reset after another part of the blob"""
    for count in (100, 70_000, 130_000):
        stage.registry.on("GET blobs " + stage.image.layer_digest(1), cut(count), times=1)
    yield
    nearly_once(stage, stage.image)


@scenario("RegistryError")
def reset_at_byte_0_always(stage):
    """every blob's connection is reset after the header"""
    stage.registry.on("GET blobs", cut(0))


@scenario("RegistryError")
def manifest_reset_always(stage):
    """every connection is reset in the manifest"""
    stage.registry.on("manifests", cut(20))


@scenario(None)
def closed_too_early_once(stage):
    """a blob's connection is closed before all of its length has come"""
    stage.registry.on("GET blobs " + stage.image.layer_digest(1), cut(200_000, "close"), times=1)
    yield
    nearly_once(stage, stage.image)


@scenario("RegistryError")
def closed_too_early_always(stage):
    """no blob ever comes further than its first byte"""
    stage.registry.on("GET blobs", cut(1, "close"))


@scenario(None)
def stall_once(stage):
    """a blob's connection says nothing more in the middle: it is given up, the rest is fetched"""
    stage.registry.on("GET blobs " + stage.image.layer_digest(1), cut(150_000, "hang"), times=1)
    yield
    nearly_once(stage, stage.image)


@scenario("Timeout")
def stall_always(stage):
    """every blob stalls at its start"""
    stage.registry.on("GET blobs", cut(0, "hang"))
    stage.request = {"settings": {"retries": 1}}


@scenario("Timeout")
def silence(stage):
    """connections are accepted, requests never answered"""
    stage.registry.on("*", lambda wire, *_: wire.hang())
    stage.request = {"settings": {"retries": 1}}


@scenario("Timeout")
def slow_loris_in_the_header(stage):
    """the answer's header comes byte by byte and never ends"""
    stage.registry.on("*", drip(b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 1000))
    stage.request = {"settings": {"retries": 1}}


@scenario("Timeout")
def slow_loris_in_the_manifest(stage):
    """the manifest comes at 20 bytes a second"""
    stage.registry.on("GET manifests", slowly(20))
    stage.request = {"settings": {"retries": 1}}


@scenario("Timeout")
def slow_loris_in_a_blob(stage):
    """blobs come at 20 bytes a second"""
    stage.registry.on("GET blobs", slowly(20))
    stage.request = {"settings": {"retries": 1}}


# --- headers and codings ---


def bounded(stage, outcome, limit=8 << 20):
    stage.test.assertLess(stage.registry.bytes_of(), limit, "it went on reading")


@scenario("RegistryError")
def header_of_many_lines(stage):
    """a header of 100,000 lines"""
    stage.registry.on("*", raw(b"HTTP/1.1 200 OK\r\n" + b"X-Bomb: boom\r\n" * 100_000 + b"\r\n"))


@scenario("RegistryError")
def header_of_one_endless_line(stage):
    """one header line of 16 MB"""
    stage.registry.on("*", raw(b"HTTP/1.1 200 OK\r\nX-Bomb: " + b"x" * 16_000_000 + b"\r\n\r\n"))
    bounded(stage, (yield))


@scenario("RegistryError")
def endless_interim_answers(stage):
    """"100 Continue" again and again"""
    stage.registry.on("*", raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 100_000))


@scenario(None)
def chunked_coding(stage):
    """everything comes in chunks, without a length"""
    stage.registry.on("GET", chunked())


@scenario("RegistryError")
def chunk_size_is_nonsense(stage):
    """a manifest in chunks whose second size is no number"""
    stage.registry.on("GET manifests", chunked(upto=10, end=b"\r\nZZZZ\r\n"))


@scenario("RegistryError")
def chunks_end_too_early(stage):
    """chunks of blobs without the last one"""
    stage.registry.on("GET blobs", chunked(upto=500, end=b""))


@scenario(None)
def http_1_0(stage):
    """HTTP/1.0: no length, the end of the connection is the end of the body"""
    def act(wire, request, good):
        request.status = good.status
        good.headers.pop("Content-Length")
        wire.send(good.head("HTTP/1.0"))
        if request.method != "HEAD":
            wire.send(good.body)
        wire.close()
    stage.registry.ranges = False
    stage.registry.on("*", act)


@scenario("RegistryError")
def http_1_0_cut(stage):
    """HTTP/1.0 without length, every blob ends after 1,000 bytes"""
    def act(wire, request, good):
        wire.send(b"HTTP/1.0 200 OK\r\n\r\n" + bytes(good.body[:1000]))
        wire.close()
    stage.registry.ranges = False
    stage.registry.on("GET blobs " + stage.image.layer_digest(1), act)


def endless(wire, request, good):
    """1 TB by its Content-Length, and it comes."""
    wire.answer(Answer(200, (bytes(65536) for _ in range(1 << 24)), Content_Length=1 << 40))


def shortened(wire, request, good):
    wire.answer(Answer(200, bytes(good.body)[:-7], Content_Type="application/octet-stream"))


@scenario("InvalidImage")
def layer_is_longer_than_it_should_be(stage):
    """the Content-Length of a layer says 1 TB, the body goes on without end"""
    stage.registry.on("GET blobs " + stage.image.layer_digest(1), endless)
    bounded(stage, (yield))


@scenario("InvalidImage")
def layer_is_longer_and_has_no_length(stage):
    """a layer without Content-Length goes on without end"""
    def act(wire, request, good):
        wire.answer(Answer(200, (bytes(65536) for _ in range(1 << 24)), Connection="close"))
    stage.registry.on("GET blobs " + stage.image.layer_digest(1), act)
    bounded(stage, (yield), 40 << 20)


@scenario("InvalidImage")
def layer_is_shorter_than_it_should_be(stage):
    """a layer is complete by its Content-Length, but shorter than the manifest says"""
    stage.registry.ranges = False
    stage.registry.on("GET blobs " + stage.image.layer_digest(1), shortened)


@scenario("InvalidImage")
def config_is_longer_than_it_should_be(stage):
    """the Content-Length of the config says 1 TB"""
    stage.registry.on("GET blobs " + stage.image.manifest["config"]["digest"], endless)
    bounded(stage, (yield))


@scenario("InvalidImage")
def config_is_shorter_than_it_should_be(stage):
    """the config is complete by its Content-Length, but shorter than the manifest says"""
    stage.registry.on("GET blobs " + stage.image.manifest["config"]["digest"], shortened)


@scenario(None)
def no_length_at_all(stage):
    """blobs without Content-Length, ended by closing the connection"""
    stage.registry.on("GET blobs", lambda wire, request, good: (good.headers.pop("Content-Length"), good.headers.update(Connection="close"), wire.answer(good)))


# --- ranges ---


@scenario(None)
def parts_over_several_connections(stage):
    """a large blob from a registry that knows ranges"""
    image = large(stage)
    yield
    nearly_once(stage, image)


@scenario(None)
def ranges_are_ignored(stage):
    """a range is answered with 200 and everything, after a reset in the middle"""
    stage.registry.ranges = False
    stage.registry.on("GET blobs " + stage.image.layer_digest(1), cut(150_000), times=1)


@scenario(None)
def ranges_of_a_large_blob_are_ignored(stage):
    """a large blob from a registry that answers every range with everything"""
    stage.registry.ranges = False
    large(stage)
    yield
    stage.test.assertLessEqual(stage.registry.bytes_of("GET blobs"), 3 * LARGE)


def wrong_range(first_off=0, last_off=0, total=None, data_off=0):
    """Answers of ranges whose Content-Range or body is somewhere else; whole blobs are served well."""
    def act(wire, request, good):
        if good.status != 206:
            return wire.answer(good)
        first, last = request.range
        blob = request.registry.repositories[request.repository][request.name][1]
        last = min(last if last is not None else len(blob) - 1, len(blob) - 1)
        body = bytes(blob[first + data_off:last + 1 + data_off])
        size = total if total is not None else len(blob)
        wire.answer(Answer(206, body, Content_Range=f"bytes {first + first_off}-{last + last_off}/{size}"))
    return act


def resuming(stage, act):
    """The blob breaks off once, so that the rest is asked for as a range, which goes wrong for ever."""
    digest = stage.image.layer_digest(1)
    stage.registry.on(lambda r: r.name == digest and not r.range, cut(150_000), times=1)
    stage.registry.on("GET blobs", act)


@scenario(None)
def content_range_is_shifted(stage):
    """ranges say that they begin elsewhere: not used, the blob is fetched whole"""
    resuming(stage, wrong_range(first_off=-10, last_off=-10))


@scenario(None)
def content_range_has_another_total(stage):
    """ranges speak of a blob of another size: not used"""
    resuming(stage, wrong_range(total=7))


@scenario(None)
def content_range_is_missing(stage):
    """206 without Content-Range: not used"""
    def act(wire, request, good):
        if good.status == 206:
            good.headers.pop("Content-Range")
        wire.answer(good)
    resuming(stage, act)


@scenario("InvalidImage", "digest")
def range_holds_other_bytes(stage):
    """ranges say the right place and hold bytes of another one, for ever"""
    stage.registry.on(lambda r: r.name == stage.image.layer_digest(1) and not r.range, cut(150_000))
    stage.registry.on("GET blobs", wrong_range(data_off=-5))


@scenario(None)
def range_not_satisfiable(stage):
    """416 to every range, after a reset in the middle"""
    resuming(stage, lambda wire, request, good: wire.answer(Answer(416, b"") if request.range else good))


@scenario(None)
def multipart_ranges(stage):
    """a range is answered in multipart/byteranges: not used"""
    def act(wire, request, good):
        if good.status != 206:
            return wire.answer(good)
        wire.answer(Answer(206, b"--x\r\n\r\n" + bytes(good.body) + b"\r\n--x--\r\n", Content_Type="multipart/byteranges; boundary=x"))
    resuming(stage, act)


@scenario(None)
def more_than_was_asked_for(stage):
    """a range is answered with all that follows it"""
    large(stage)

    def act(wire, request, good):
        if good.status != 206:
            return wire.answer(good)
        blob = request.registry.repositories["repo"][request.name][1]
        first = request.range[0]
        wire.answer(Answer(206, blob[first:], Content_Range=f"bytes {first}-{len(blob) - 1}/{len(blob)}"))
    stage.registry.on("GET blobs", act)


# --- statuses ---


def failing(status, **headers):
    return lambda wire, request, good: wire.answer(problem(status, "UNKNOWN", **headers))


@scenario(None)
def server_errors_that_pass(stage):
    """500, 502, 503, 504 for the manifest and for a blob, once each, then good"""
    stage.request = {"settings": {"retries": 5}}
    for status in (500, 503):
        stage.registry.on("GET manifests", failing(status), times=1)
    for status in (502, 504):
        stage.registry.on("GET blobs " + stage.image.layer_digest(0), failing(status), times=1)
    outcome = yield
    stage.test.assertTrue(outcome.of("retry"), "nobody was told")


@scenario("RegistryError", "503")
def server_errors_for_ever(stage):
    """503 for everything"""
    stage.registry.on("*", failing(503))
    yield
    stage.test.assertLess(len(stage.registry.requests), 20, "it hammers a server that is down")


@scenario("RegistryError", "500")
def blobs_fail_for_ever(stage):
    """500 for every blob"""
    stage.registry.on("blobs", failing(500))


@scenario(None)
def too_many_requests_once(stage):
    """429 with Retry-After: 1, then good"""
    stage.registry.on("GET blobs", failing(429, Retry_After=1), times=1)
    outcome = yield
    stage.test.assertGreaterEqual(outcome.seconds, 1)
    stage.test.assertTrue(outcome.of("retry"), "nobody was told")


@scenario(None)
def too_many_requests_until_a_date(stage):
    """429 with Retry-After as a date two seconds ahead, then good"""
    def act(wire, request, good):
        wire.answer(problem(429, "TOOMANYREQUESTS", Retry_After=email.utils.formatdate(time.time() + 2, usegmt=True)))
    stage.registry.on("manifests", act, times=1)
    outcome = yield
    stage.test.assertGreaterEqual(outcome.seconds, 0.9)


@scenario("RegistryError", "429")
def too_many_requests_for_a_day(stage):
    """429 with Retry-After: 86400: nobody waits for that"""
    stage.registry.on("*", failing(429, Retry_After=86400))


@scenario("RegistryError", "429")
def too_many_requests_for_ever(stage):
    """429 without Retry-After for everything"""
    stage.registry.on("*", failing(429))


@scenario("ImageNotFound", "repo", "absent", "404")
def no_such_tag(stage):
    """404 MANIFEST_UNKNOWN"""
    stage.reference = f"{stage.registry.host}/repo:absent"
    yield
    stage.test.assertLess(len(stage.registry.requests), 6)


@scenario("ImageNotFound", "repo")
def no_such_repository(stage):
    """404 NAME_UNKNOWN"""
    stage.registry.repositories.clear()
    stage.registry.tags.clear()


@scenario("ImageNotFound", "404")
def no_such_blob(stage):
    """404 BLOB_UNKNOWN for a layer that the manifest names"""
    stage.registry.on("blobs " + stage.image.layer_digest(2), lambda wire, request, good: wire.answer(problem(404, "BLOB_UNKNOWN")))


@scenario("PermissionDenied", "403")
def forbidden(stage):
    """403 for everything"""
    stage.registry.on("*", lambda wire, request, good: wire.answer(problem(403, "DENIED", "requested access is denied")))


@scenario("RegistryError", "418")
def another_status(stage):
    """418, with a page for people"""
    stage.registry.on("*", say(418, b"<html>I am a teapot</html>", Content_Type="text/html"))


@scenario("RegistryError")
def endless_error_page(stage):
    """404 with a body of 1 TB"""
    stage.registry.on("*", lambda wire, request, good: wire.answer(Answer(404, (bytes(65536) for _ in range(1 << 20)), Content_Length=1 << 40)))
    bounded(stage, (yield))


@scenario(None)
def head_is_not_supported(stage):
    """405 to HEAD: GET tells whether there is something new"""
    stage.request = {"if_digest": EMPTY}
    stage.registry.on("HEAD", say(405))
    yield
    stage.test.assertEqual(stage.registry.requests[0].method, "HEAD")


@scenario(None)
def head_has_no_digest(stage):
    """no Docker-Content-Digest in any answer"""
    stage.request = {"if_digest": EMPTY}
    stage.registry.on("manifests", change(Docker_Content_Digest=None))


@scenario(None)
def tag_moves_between_head_and_get(stage):
    """HEAD tells of another image than GET brings"""
    stage.request = {"if_digest": EMPTY}
    other = stage.registry.add("repo", Image(seed=55))
    stage.registry.on("HEAD manifests", change(Docker_Content_Digest=other.digest), times=1)


# --- redirects ---


@scenario("RegistryError", "redirect")
def redirect_loop(stage):
    """every blob is at another address of the same server, for ever"""
    stage.registry.on("GET blobs", redirect(lambda request: request.target + "x"))
    stage.registry.on("other", redirect(lambda request: request.target + "x"))
    yield
    stage.test.assertLess(len(stage.registry.requests), 300)


@scenario(None)
def redirect_to_a_relative_address(stage):
    """307 with a path only"""
    stage.registry.on("GET blobs", redirect(lambda request: request.target + "?signed=1"), times=3)


@scenario("RegistryError", "307")
def redirect_without_an_address(stage):
    """307 without Location"""
    stage.registry.on("GET blobs", say(307))


@scenario("RegistryError")
def redirect_to_a_file(stage):
    """307 to file:///etc/passwd"""
    stage.registry.on("GET blobs", redirect("file:///etc/passwd"))


@scenario("RegistryError")
def redirect_to_another_protocol(stage):
    """307 to gopher:// of a server that listens"""
    other = stage.new_registry()
    stage.registry.on("GET blobs", redirect(f"gopher://{other.host}/x"))
    yield
    stage.test.assertEqual(other.connections, 0)


@scenario("RegistryError")
def redirect_to_a_host_that_is_down(stage):
    """307 to a closed port"""
    with ScriptedRegistry() as gone:
        host = gone.host
    stage.registry.on("GET blobs", redirect(f"http://{host}/x"))


@scenario(None)
def redirect_that_expires(stage):
    """blobs lie on another host, each address there is good for one request: what breaks off is asked of the registry again"""
    storage = stage.new_registry()
    storage.add("repo", stage.image)
    used = set()

    def once(wire, request, good):
        if request.target in used:
            return wire.answer(Answer(403, b"<Error><Code>AccessDenied</Code></Error>", Content_Type="application/xml"))
        used.add(request.target)
        wire.answer(good, upto=150_000)
        if len(good.body) > 150_000:
            wire.reset()
    storage.on("GET blobs", once)
    stage.registry.on("GET blobs", redirect(lambda request: f"{storage.url}{request.path}?signature={len(stage.registry.requests)}"))
