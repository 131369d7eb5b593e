"""Scenarios of who may come in: basic authentication, tokens, redirects to others, certificates, mirrors."""
import json
import socket

from registry_auth import Basic, Tokens
from registry_server import connecting, http2, problem
from scenario import cut, raw, redirect, say, scenario

USER = {"username": "user", "password": "secret-password"}
WRONG = {"username": "user", "password": "secret-password-wrong"}


def basic(stage, **options):
    return stage.use_registry(auth=Basic(password="secret-password"), **options)


def tokens(stage, **options):
    return stage.use_registry(auth=Tokens(password="secret-password", **options))


def with_user(stage, credential=USER):
    stage.endpoints = [stage.endpoint(credential=credential)]


# --- basic ---


@scenario(None)
def basic_authentication(stage):
    """user and password"""
    basic(stage)
    with_user(stage)


@scenario("PermissionDenied", "login")
def basic_without_credentials(stage):
    """a password is needed, none is known"""
    basic(stage)


@scenario("PermissionDenied", "login")
def basic_with_a_wrong_password(stage):
    """the password is wrong: it is tried once or twice, not more"""
    basic(stage)
    with_user(stage, WRONG)
    yield
    stage.test.assertLess(len(stage.registry.requests), 6)


@scenario("PermissionDenied", "401")
def refused_without_a_challenge(stage):
    """401 that does not say how to do better"""
    stage.registry.on("*", lambda wire, request, good: wire.answer(problem(401, "UNAUTHORIZED")))
    with_user(stage)


@scenario("PermissionDenied")
def unknown_challenge(stage):
    """401 that wants Kerberos"""
    stage.registry.on("*", lambda wire, request, good: wire.answer(problem(401, "UNAUTHORIZED", WWW_Authenticate="Negotiate")))
    with_user(stage)


@scenario("PermissionDenied")
def challenge_is_garbage(stage):
    """401 whose challenge has no end"""
    stage.registry.on("*", lambda wire, request, good: wire.answer(problem(401, "UNAUTHORIZED", WWW_Authenticate='Bearer realm="' + "x" * 5000)))
    with_user(stage)


# --- tokens ---


@scenario(None)
def tokens_for_everybody(stage):
    """a token that is had without a password"""
    registry = tokens(stage, anonymous=True)
    yield
    stage.test.assertEqual(registry.seen("token")[0].query["scope"], ["repository:repo:pull"])
    stage.test.assertEqual(registry.seen("token")[0].query["service"], ["test"])


@scenario(None)
def tokens_for_a_user(stage):
    """a token for user and password; the password goes to the token server only, one token does for all"""
    registry = tokens(stage)
    with_user(stage)
    yield
    stage.test.assertEqual(registry.auth.issued, 1)
    told = [r for r in registry.requests if r.kind != "token" and r.headers.get("authorization", "").startswith("Basic")]
    stage.test.assertEqual(told, [])


@scenario(None)
def identity_token(stage):
    """a refresh token instead of a password"""
    tokens(stage, identity="secret-identity")
    with_user(stage, {"identity_token": "secret-identity"})


@scenario(None)
def registry_token(stage):
    """a bearer token from the user's files, used as it is"""
    registry = tokens(stage)
    registry.auth.left["secret-identity"] = 100
    with_user(stage, {"registry_token": "secret-identity"})


@scenario("PermissionDenied", "login")
def token_with_a_wrong_password(stage):
    """the token server does not know the password"""
    tokens(stage)
    with_user(stage, WRONG)
    yield
    stage.test.assertLess(len(stage.registry.requests), 6)


@scenario(None)
def token_expires_in_mid_pull(stage):
    """every token is good for two requests: new ones are asked for"""
    registry = tokens(stage, uses=2)
    with_user(stage)
    yield
    stage.test.assertGreater(registry.auth.issued, 1)
    stage.test.assertLess(registry.auth.issued, 8)


@scenario("PermissionDenied")
def endless_401(stage):
    """every token is given and none is ever good"""
    registry = tokens(stage)
    registry.auth.uses = None
    registry.on(lambda r: r.kind != "token", lambda wire, request, good: wire.answer(registry.auth.challenge(request)))
    with_user(stage)
    yield
    stage.test.assertLess(len(registry.requests), 12)


@scenario("PermissionDenied")
def endless_401_for_blobs(stage):
    """manifests are shown, blobs never"""
    registry = tokens(stage)
    registry.on("blobs", lambda wire, request, good: wire.answer(registry.auth.challenge(request)))
    with_user(stage)
    yield
    stage.test.assertLess(len(registry.requests), 40)


@scenario("RegistryError")
def token_server_is_down(stage):
    """the token server's port is closed"""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        host = f"http://127.0.0.1:{probe.getsockname()[1]}"
    tokens(stage, realm=host + "/token")
    with_user(stage)


@scenario("RegistryError")
def token_server_fails(stage):
    """the token server answers 500"""
    tokens(stage).on("token", say(500, b"<html>oops</html>"))
    with_user(stage)


@scenario("RegistryError")
def token_is_garbage(stage):
    """the token server answers with a page"""
    tokens(stage).on("token", say(200, b"<html>who are you?</html>"))
    with_user(stage)


@scenario("RegistryError")
def token_is_missing(stage):
    """the token server answers without a token"""
    tokens(stage).on("token", say(200, b'{"expires_in":300}'))
    with_user(stage)


@scenario("RegistryError")
def token_splits_the_header(stage):
    """a token with a line end and a header of its own"""
    tokens(stage).on("token", say(200, json.dumps({"token": "a\r\nX-Evil: yes"}).encode()))
    with_user(stage)
    yield
    stage.test.assertFalse([r for r in stage.registry.requests if "x-evil" in r.headers])


@scenario("RegistryError")
def token_is_huge(stage):
    """a token of 50 MB"""
    tokens(stage).on("token", say(200, b'{"token":"' + b"a" * 50_000_000 + b'"}'))
    with_user(stage)
    yield
    stage.test.assertLess(stage.registry.bytes_of("token"), 16 << 20)


@scenario("Timeout")
def token_server_is_silent(stage):
    """the token server never answers"""
    tokens(stage).on("token", lambda wire, request, good: wire.hang())
    stage.request = {"settings": {"retries": 1}}
    with_user(stage)


@scenario("RegistryError")
def token_realm_is_a_file(stage):
    """the challenge sends us to file:///etc/passwd for a token"""
    tokens(stage, realm="file:///etc/passwd")
    with_user(stage)


# --- redirects and credentials ---


def elsewhere(stage):
    storage = stage.new_registry()
    storage.add("repo", stage.image)
    stage.registry.on("GET blobs", redirect(lambda request: f"{storage.url}{request.path}?signed=1"))
    return storage


@scenario(None)
def redirect_to_another_host_loses_the_password(stage):
    """blobs lie on another host: the Authorization header does not follow"""
    basic(stage)
    with_user(stage)
    storage = elsewhere(stage)
    yield
    stage.test.assertGreater(len(storage.seen("GET blobs")), 0)
    stage.test.assertEqual([r for r in storage.requests if "authorization" in r.headers], [])


@scenario(None)
def redirect_to_another_host_loses_the_token(stage):
    """the same with a bearer token, and with a blob that breaks off there"""
    tokens(stage)
    with_user(stage)
    storage = elsewhere(stage)
    storage.on("GET blobs " + stage.image.layer_digest(1), cut(150_000), times=1)
    yield
    stage.test.assertEqual([r for r in storage.requests if "authorization" in r.headers], [])


@scenario("PermissionDenied")
def other_host_asks_for_a_password(stage):
    """the other host says 401 with a challenge: it gets none"""
    basic(stage)
    with_user(stage)
    storage = elsewhere(stage)
    storage.on("*", lambda wire, request, good: wire.answer(problem(401, "UNAUTHORIZED", WWW_Authenticate='Basic realm="give"')))
    yield
    stage.test.assertEqual([r for r in storage.requests if "authorization" in r.headers], [])


# --- TLS ---


def tls(stage, trusted=True, **given):
    """A registry with a certificate of an authority that the pull trusts, or does not."""
    authority = stage.authority()
    registry = stage.use_registry(tls=authority.issue(**given))
    stage.endpoints = [stage.endpoint(ca_files=[authority.certificate] if trusted else [])]
    return registry


@scenario(None)
def own_authority(stage):
    """a certificate of an authority that certs.d names"""
    tls(stage)


@scenario("RegistryError", "certificate")
def unknown_authority(stage):
    """a certificate of an authority that nobody knows: not a byte of HTTP is said"""
    registry = tls(stage, trusted=False)
    yield
    stage.test.assertEqual(registry.requests, [])
    stage.test.assertLess(registry.connections, 4, "a bad certificate does not get better by trying again")


@scenario("RegistryError", "certificate")
def expired_certificate(stage):
    """a certificate that ended years ago"""
    registry = tls(stage, expired=True)
    yield
    stage.test.assertEqual(registry.requests, [])


@scenario("RegistryError", "certificate")
def certificate_of_another_host(stage):
    """a certificate for example.org"""
    registry = tls(stage, names="DNS:example.org")
    yield
    stage.test.assertEqual(registry.requests, [])


@scenario(None)
def insecure_by_wish(stage):
    """an unknown authority, and the user said that it does not matter"""
    registry = tls(stage, trusted=False)
    stage.endpoints = [stage.endpoint(registry, verify=False)]


@scenario(None)
def client_certificate(stage):
    """the registry wants a certificate of us"""
    authority = stage.authority()
    stage.use_registry(tls=(*authority.issue(), authority.certificate))
    certificate, key = authority.issue("client")
    stage.endpoints = [stage.endpoint(ca_files=[authority.certificate], client_cert=certificate, client_key=key)]


@scenario("RegistryError")
def client_certificate_is_missing(stage):
    """the registry wants a certificate of us, there is none"""
    authority = stage.authority()
    stage.use_registry(tls=(*authority.issue(), authority.certificate))
    stage.endpoints = [stage.endpoint(ca_files=[authority.certificate])]


@scenario("RegistryError")
def plain_server_behind_https(stage):
    """an https:// address where plain HTTP is spoken"""
    made = stage.endpoint()
    made["url"] = made["url"].replace("http://", "https://")
    stage.endpoints = [made]


@scenario("Timeout")
def silence_in_the_handshake(stage):
    """the connection is taken, TLS never begins"""
    registry = tls(stage)
    registry.on(connecting, lambda wire, *_: wire.hang())
    stage.request = {"settings": {"retries": 1}}


@scenario("RegistryError")
def redirect_from_https_to_http(stage):
    """blobs are sent from a safe address to one that everybody can read and write"""
    registry = tls(stage)
    plain = stage.new_registry()
    plain.add("repo", stage.image)
    registry.on("GET blobs", redirect(lambda request: f"{plain.url}{request.path}"))
    yield
    stage.test.assertEqual(plain.requests, [])


@scenario("RegistryError")
def token_over_http_for_https(stage):
    """a safe registry sends the password to a token server that everybody can read"""
    authority = stage.authority()
    plain = stage.new_registry(auth=Tokens(password="secret-password"))
    stage.use_registry(tls=authority.issue(), auth=Tokens(password="secret-password", realm=plain.url + "/token"))
    stage.endpoints = [stage.endpoint(credential=USER, ca_files=[authority.certificate])]
    yield
    stage.test.assertEqual([r for r in plain.requests if "authorization" in r.headers], [])


# --- HTTP/2 (RFC 9113) ---

SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
GOAWAY = bytes([0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])


def go_away(wire, *_):
    """The settings, then that no stream was or will be looked at."""
    wire.send(SETTINGS)
    wire.sock.recv(65536)
    wire.send(GOAWAY)
    wire.close()


@scenario(None)
def http2_goes_away_once(stage):
    """the first connection speaks HTTP/2 and says GOAWAY, the next one is good"""
    tls(stage).on(http2, go_away, times=1)


@scenario("RegistryError")
def http2_goes_away_always(stage):
    """every connection speaks HTTP/2 and says GOAWAY"""
    registry = tls(stage)
    registry.on(http2, go_away)
    yield
    stage.test.assertLess(registry.connections, 20)


@scenario("RegistryError")
def http2_is_noise(stage):
    """HTTP/2 is agreed on, then noise comes"""
    def act(wire, *_):
        wire.send(SETTINGS + b"\xff" * 5000)
        wire.close()
    tls(stage).on(http2, act)


@scenario("Timeout")
def http2_is_silent(stage):
    """HTTP/2 is agreed on, then nothing comes"""
    tls(stage).on(http2, lambda wire, *_: wire.hang())
    stage.request = {"settings": {"retries": 1}}


# --- mirrors ---


def mirrored(stage, act=None, what="*"):
    mirror = stage.new_registry()
    mirror.add("repo", stage.image, "tag")
    if act:
        mirror.on(what, act)
    stage.endpoints = [dict(stage.endpoint(mirror), prefix_rule="mirror"), stage.endpoint()]
    return mirror


@scenario(None)
def mirror_is_used(stage):
    """a good mirror: the registry itself is not asked"""
    mirrored(stage)
    yield
    stage.test.assertEqual(stage.registry.requests, [])


@scenario(None)
def mirror_for_digests_is_asked_for_a_tag(stage):
    """a mirror that is for digests only: a tag is asked of the registry"""
    mirror = mirrored(stage)
    stage.endpoints[0]["for"] = "digest"
    yield
    stage.test.assertEqual(mirror.requests, [])


@scenario(None)
def mirror_for_tags_is_asked_for_a_digest(stage):
    """a mirror that is for tags only: a digest is asked of the registry"""
    mirror = mirrored(stage)
    stage.endpoints[0]["for"] = "tag"
    stage.reference = f"{stage.registry.host}/repo@{stage.image.digest}"
    yield
    stage.test.assertEqual(mirror.requests, [])


@scenario(None)
def mirror_is_down(stage):
    """the mirror's port is closed: the next endpoint is taken"""
    mirrored(stage).stop()


@scenario(None)
def mirror_does_not_have_it(stage):
    """the mirror says 404"""
    mirrored(stage, lambda wire, request, good: wire.answer(problem(404, "MANIFEST_UNKNOWN")))


@scenario(None)
def mirror_wants_a_password(stage):
    """the mirror says 401"""
    mirrored(stage, lambda wire, request, good: wire.answer(problem(401, "UNAUTHORIZED", WWW_Authenticate='Basic realm="m"')))


@scenario(None)
def mirror_fails(stage):
    """the mirror says 500"""
    mirrored(stage, say(500))


@scenario(None)
def mirror_talks_nonsense(stage):
    """the mirror is no registry"""
    mirrored(stage, raw(b"220 smtp ready\r\n"))


@scenario(None)
def mirror_lacks_a_blob(stage):
    """the mirror has the manifest and not all blobs"""
    mirrored(stage, lambda wire, request, good: wire.answer(problem(404, "BLOB_UNKNOWN")), "blobs " + stage.image.layer_digest(1))


@scenario(None)
def mirror_breaks_off(stage):
    """the mirror dies in the middle of a blob: what came from it is kept"""
    digest = stage.image.layer_digest(1)
    mirrored(stage, cut(200_000), "GET blobs " + digest)
    yield
    stage.test.assertLess(stage.registry.bytes_of("GET blobs " + digest), 200_000)


@scenario("RegistryError")
def every_endpoint_fails(stage):
    """mirror and registry say 500"""
    mirror = mirrored(stage, say(500))
    stage.registry.on("*", say(500))
    yield
    stage.test.assertTrue(mirror.requests and stage.registry.requests)


@scenario("ImageNotFound")
def no_endpoint_has_it(stage):
    """mirror and registry say 404"""
    mirrored(stage, lambda wire, request, good: wire.answer(problem(404, "MANIFEST_UNKNOWN")))
    stage.registry.on("*", lambda wire, request, good: wire.answer(problem(404, "MANIFEST_UNKNOWN")))
