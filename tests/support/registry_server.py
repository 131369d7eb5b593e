"""A registry whose every byte a test decides: HTTP/1.1 over plain sockets, one thread a connection.

It serves images as the distribution spec says (HEAD, ranges, tags, tokens). A rule, made by on(), takes the place
of the good answer for the requests it fits: it sees the request and what would have been said, and writes what
it likes. Requests and the bytes that went out are recorded.
"""
import contextlib
import fcntl
import re
import select
import socket
import ssl
import struct
import termios
import threading
import time
import traceback
import urllib.parse

from registry_images import dumps

PIECE = 16384
LINES = b"\r\n\r\n"


class Gone(Exception):
    """This connection is over; there is nothing to say any more."""


class Request:
    def __init__(self, registry, head, body, client):
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, self.version = lines[0].split(" ", 2)
        self.path, _, query = self.target.partition("?")
        self.query = urllib.parse.parse_qs(query)
        self.headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.headers[name.strip().lower()] = value.strip()
        self.registry, self.body, self.client = registry, body, client
        self.time = time.monotonic()
        self.status, self.sent, self.done = None, 0, False

    @property
    def kind(self):
        """manifests, blobs, tags, referrers, token, base, or other."""
        found = re.match(r"/v2/(?:.+/)?(manifests|blobs|tags|referrers)/", self.path)
        if found:
            return found.group(1)
        return {"/v2/": "base", "/token": "token"}.get(self.path, "other")

    @property
    def name(self):
        """What follows the kind: a tag or a digest."""
        return urllib.parse.unquote(self.path.rpartition("/")[2])

    @property
    def repository(self):
        found = re.match(r"/v2/(.+)/(?:manifests|blobs|tags|referrers)/", self.path)
        return found.group(1) if found else ""

    @property
    def range(self):
        """(first, last or None) of the Range header; None without one."""
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range", ""))
        return (int(found.group(1)), int(found.group(2)) if found.group(2) else None) if found else None

    def __str__(self):
        return f"{self.method} {self.target} {self.headers.get('range', '')} -> {self.status}, {self.sent} bytes"


class Answer:
    """What to say: a body is bytes, or anything that yields bytes (then give its Content-Length in headers)."""

    def __init__(self, status, body=b"", **headers):
        self.status, self.body = status, body
        self.headers = {name.replace("_", "-"): str(value) for name, value in headers.items()}
        if isinstance(body, (bytes, memoryview)):
            self.headers.setdefault("Content-Length", str(len(body)))

    def head(self, version="HTTP/1.1"):
        lines = [f"{version} {self.status} Whatever", *(f"{n}: {v}" for n, v in self.headers.items() if v != "None")]
        return "\r\n".join(lines).encode("latin-1") + LINES


def problem(status, code, message="", **headers):
    """An error as the distribution spec writes it."""
    return Answer(status, dumps({"errors": [{"code": code, "message": message or code.lower()}]}),
                  Content_Type="application/json", **headers)


class Wire:
    """One connection, for rules that write by themselves."""

    def __init__(self, registry, sock):
        self.registry, self.sock, self.request, self.total = registry, sock, None, 0

    def send(self, data, rate=None):
        """Sends everything, at most `rate` bytes a second, and counts what the kernel took."""
        rate = rate or self.registry.rate
        view = memoryview(data)
        while len(view):
            if self.registry.stopped.is_set():
                raise Gone
            piece = view[:min(PIECE, max(1, rate // 50)) if rate else PIECE]
            try:
                count = self.sock.send(piece)
            except OSError:
                raise Gone from None
            self.total += count
            if self.request:
                self.request.sent += count
            view = view[count:]
            if rate and len(view):
                time.sleep(count / rate)

    def answer(self, answer, upto=None, rate=None):
        """Head and body, or no more than the first `upto` bytes of the body."""
        if self.request:
            self.request.status = answer.status
        self.send(answer.head())
        if self.request and self.request.method == "HEAD":
            return
        self.request.sent = 0  # only bodies are counted
        parts = [answer.body] if isinstance(answer.body, (bytes, memoryview)) else answer.body
        for part in parts:
            part = memoryview(part)[:upto]
            self.send(part, rate)
            if upto is not None:
                upto -= len(part)
                if upto <= 0:
                    break
        if answer.headers.get("Connection") == "close":
            raise Gone

    def unsent(self):
        """Bytes that the other side has not taken yet."""
        return struct.unpack("i", fcntl.ioctl(self.sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))[0]

    def take_back(self):
        """What the other side's kernel has not acknowledged was not sent (tcp_info.tcpi_bytes_acked)."""
        acknowledged, = struct.unpack_from("Q", self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 128), 120)
        if self.request:
            self.request.sent -= min(self.request.sent, max(0, self.total - acknowledged))

    def reset(self):
        """RST once all that was sent has arrived."""
        deadline = time.monotonic() + 2
        while self.unsent() and time.monotonic() < deadline:
            time.sleep(0.001)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Gone

    def close(self):
        raise Gone

    def hang(self):
        """Says nothing until the other side gives up or the registry stops."""
        while not self.registry.stopped.is_set():
            if self.sock in select.select([self.sock], [], [], 0.05)[0]:
                with contextlib.suppress(OSError):
                    if self.sock.recv(4096):
                        continue
                break
        raise Gone


class Rule:
    def __init__(self, fits, act, times, skip):
        self.fits, self.act, self.times, self.skip = fits, act, times, skip

    def takes(self, request):
        if not self.fits(request) or self.times == 0:
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


def fitting(what):
    """ "GET blobs", "manifests", "GET blobs sha256:...", "*", or a function, as a function of a request. """
    if callable(what):
        return what
    words = what.split()

    def fits(request):
        said = (request.method, request.kind, request.name)
        return what == "*" or all(word in said for word in words)
    return fits


class ScriptedRegistry:
    """tls: (certificate, key[, CA of clients]). auth: a function from a request to None or the refusing Answer.
    rate: bytes a second of every body, None for as fast as it goes."""

    def __init__(self, tls=None, auth=None, rate=None, ranges=True):
        self.auth, self.rate, self.ranges = auth, rate, ranges
        self.rules, self.requests, self.repositories, self.tags = [], [], {}, {}
        self.stopped, self.lock, self.connections = threading.Event(), threading.Lock(), 0
        self.errors = []  # of the rules themselves
        self.contexts = {version: tls_context(tls, version) for version in ("http/1.1", "h2")} if tls else None
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.host = f"127.0.0.1:{self.port}"
        self.url = ("https" if tls else "http") + "://" + self.host
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    # --- what it holds ---

    def add(self, repository, image, *tags):
        """Serves the image, and those of an index, under its digest and the tags."""
        held = self.repositories.setdefault(repository, {})
        for inner in getattr(image, "images", ()):
            self.add(repository, inner)
        held[image.digest] = (image.media_type, image.bytes)
        for digest, data in getattr(image, "blobs", {}).items():
            held[digest] = (None, data)
        for tag in tags:
            self.tags[repository, tag] = image.digest
        return image

    def on(self, what, act, times=None, skip=0):
        """From now on `act(wire, request, good)` answers what fits: the first rule that fits is taken, `times`
        times, not the first `skip`."""
        with self.lock:
            self.rules.append(Rule(fitting(what), act, times, skip))
        return self

    def heal(self):
        """No rules any more: a good registry."""
        with self.lock:
            self.rules.clear()

    # --- what was recorded ---

    def seen(self, what="*"):
        fits = fitting(what)
        return [request for request in self.requests if fits(request)]

    def bytes_of(self, what="*"):
        return sum(request.sent for request in self.seen(what))

    def forget(self):
        self.requests = []

    def __str__(self):
        return f"{self.url}:\n" + "\n".join(f"  {request}" for request in self.requests[-40:])

    # --- serving ---

    def stop(self):
        self.stopped.set()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(5)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _accept(self):
        while not self.stopped.is_set():
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._connection, args=(sock,), daemon=True).start()

    def _connection(self, sock):
        # What lies in a send buffer when the client dies was never received: keep it small.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * PIECE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(30)
        try:
            self._talk(sock)
        except (OSError, Gone):
            pass
        except Exception:  # a test must hear of it
            self.errors.append(traceback.format_exc())

    def _talk(self, sock):
        with contextlib.ExitStack() as stack:
            stack.callback(lambda: sock.close())
            rule = next((r for r in self.rules if r.fits in (connecting, http2) and r.takes(None)), None)
            if rule and rule.fits is connecting:
                rule.act(Wire(self, sock), None, None)
            if self.contexts:
                sock = self.contexts["h2" if rule and rule.fits is http2 else "http/1.1"].wrap_socket(sock, server_side=True)
                stack.callback(sock.close)
            if rule and rule.fits is http2:
                rule.act(Wire(self, sock), None, None)
            wire = Wire(self, sock)
            if not self.contexts:
                stack.callback(wire.take_back)
            self._serve(wire, sock)

    def _serve(self, wire, sock):
        buffer = b""
        while not self.stopped.is_set():
            while LINES not in buffer:
                more = sock.recv(65536)
                if not more:
                    return
                buffer += more
                if not buffer[:1].isalpha():  # a TLS client that tries its luck
                    wire.send(b"HTTP/1.0 400 Bad Request\r\n\r\nthis is no TLS server\n")
                    return
            head, _, buffer = buffer.partition(LINES)
            length = re.search(rb"(?i)\r\ncontent-length:\s*(\d+)", head)
            length = int(length.group(1)) if length else 0
            while len(buffer) < length:
                buffer += sock.recv(65536)
            body, buffer = buffer[:length], buffer[length:]
            request = wire.request = Request(self, head, body, sock.getpeername())
            with self.lock:
                self.requests.append(request)
                rule = next((r for r in self.rules if r.fits not in (connecting, http2) and r.takes(request)), None)
            good = self.good(request)
            try:
                rule.act(wire, request, good) if rule else wire.answer(good)
            finally:
                request.done = True

    def good(self, request):
        """What a healthy registry says."""
        refusal = self.auth(request) if self.auth else None
        if refusal:
            return refusal
        if request.kind == "base":
            return Answer(200, b"{}", Content_Type="application/json", Docker_Distribution_API_Version="registry/2.0")
        held = self.repositories.get(request.repository)
        if held is None:
            return problem(404, "NAME_UNKNOWN", "repository name not known to registry")
        if request.kind == "tags":
            tags = sorted(tag for repository, tag in self.tags if repository == request.repository)
            return Answer(200, dumps({"name": request.repository, "tags": tags}), Content_Type="application/json")
        if request.kind == "manifests":
            return self._manifest(request, held)
        if request.kind == "blobs":
            return self._blob(request, held)
        return problem(404, "UNSUPPORTED")

    def _manifest(self, request, held):
        digest = self.tags.get((request.repository, request.name), request.name)
        media_type, data = held.get(digest, (None, None))
        if media_type is None:
            return problem(404, "MANIFEST_UNKNOWN", "manifest unknown")
        return Answer(200, data, Content_Type=media_type, Docker_Content_Digest=digest, Etag=f'"{digest}"')

    def _blob(self, request, held):
        _, data = held.get(request.name, (None, None))
        if data is None:
            return problem(404, "BLOB_UNKNOWN", "blob unknown to registry")
        return self.part_of(data, request) if self.ranges else Answer(200, data)

    @staticmethod
    def part_of(data, request):
        """The range that was asked for, or everything."""
        common = {"Content_Type": "application/octet-stream", "Docker_Content_Digest": request.name,
                  "Accept_Ranges": "bytes"}
        if not request.range:
            return Answer(200, data, **common)
        first, last = request.range
        if first >= len(data):
            return Answer(416, b"", Content_Range=f"bytes */{len(data)}")
        last = min(len(data) - 1, last if last is not None else len(data))
        return Answer(206, memoryview(data)[first:last + 1], Content_Range=f"bytes {first}-{last}/{len(data)}", **common)


def connecting(_):
    """Fits a connection before its first byte: on(connecting, act); act gets no request."""
    return True


def http2(_):
    """Fits a connection that is to speak HTTP/2: on(http2, act); act writes its frames, there is no request."""
    return True


def tls_context(tls, version):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls[0], tls[1])
    context.set_alpn_protocols([version])
    if len(tls) > 2:
        context.load_verify_locations(tls[2])
        context.verify_mode = ssl.CERT_REQUIRED
    return context
