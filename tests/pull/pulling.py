"""One pull, through the helper or through the verb: pull() is the only place that knows which."""
import json
import os
import select
import shutil
import signal
import tempfile
import time

import measured
import support
from registry_images import digest_of

HELPER = os.path.join(support.BUILD, "libexec/nexcage/image")
# Short enough for a test, long enough for a busy machine.
SETTINGS = {"retries": 3, "retry_delay_ms": 20, "stall_seconds": 1, "connect_seconds": 2, "widen_after_ms": 50, "piece_bytes": 1 << 20}
STAGING = ".partial"
LIMIT = 30  # seconds; a pull that takes longer hangs


def absent(helper=HELPER):
    """Why nothing can be pulled with this build; None when it can."""
    if not os.access(helper, os.X_OK):
        return f"{helper} is not built"
    with open(helper, "rb") as file:
        return None if b"connections_per_blob" in file.read() else "pulling is not in this build"


class Outcome:
    """What a pull said: `ok` (the helper's answer) or `code` and `message`; events, time, peak memory in bytes."""

    def __init__(self, answer, events, stderr, status, seconds):
        self.events, self.stderr, self.status, self.seconds, self.memory = events, stderr, status, seconds, None
        self.answer = answer
        self.ok = answer.get("ok")
        error = answer.get("error") or {}
        self.code = error.get("code") if "error" in answer else None if self.ok is not None else "no answer"
        words = [*reversed(error.get("frames", [])), error.get("hint", "")]
        self.message = ": ".join(word for word in words if word) + (f" [{os.strerror(error['errno'])}]" if error.get("errno") else "")

    def of(self, kind):
        return [event for event in self.events if event.get("event") == kind]

    def __str__(self):
        text = f"{self.code}: {self.message}" if self.code else json.dumps(self.ok)[:600]
        return f"{text}\nexit status {self.status} after {self.seconds:.2f} s, memory {self.memory}\nstderr: {self.stderr[-2000:]}"


def endpoint(registry, repository, **more):
    return {"url": registry.url, "repository": repository, "prefix_rule": "", "for": "all", "credential": None,
            "tls": {"verify": True, "ca_files": [], "client_cert": "", "client_key": ""}, **more}


def request_for(images, reference, endpoints, **more):
    return {"images": images, "reference": reference, "platform": {"os": "linux", "architecture": "amd64", "variant": ""},
            "endpoints": endpoints, "trust": {"type": "accept", "rule": "the test's own"}, **more, "settings": {**SETTINGS, **more.get("settings", {})}}


class Running:
    """A helper at work: request on descriptor 3, answer on 4, events on 5, all of them files."""

    def __init__(self, request, helper=HELPER, verb="pull", measure=None):
        """measure: a file for what it costs; otherwise the peak of memory is not known."""
        self.measure = measure
        self.files = {number: tempfile.TemporaryFile() for number in (2, 3, 4, 5)}
        self.files[3].write(json.dumps(request).encode())
        self.files[3].seek(0)
        # Out of the way of the numbers they get.
        high = {number: os.dup2(file.fileno(), 200 + file.fileno(), inheritable=True) for number, file in self.files.items()}
        actions = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
                   *((os.POSIX_SPAWN_DUP2, fd, number) for number, fd in high.items()),
                   *((os.POSIX_SPAWN_CLOSE, fd) for fd in high.values())]
        self.began = time.monotonic()
        argv = [*(measured.prefix(measure) if measure else []), helper, verb]
        self.pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=actions)
        for fd in high.values():
            os.close(fd)

    def ended_within(self, seconds):
        pidfd = os.pidfd_open(self.pid)
        try:
            return bool(select.select([pidfd], [], [], seconds)[0])
        finally:
            os.close(pidfd)

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)

    def wait(self):
        """Its Outcome; a helper that hangs is killed and said so."""
        hung = not self.ended_within(LIMIT)
        if hung:
            self.kill()
        _, status = os.waitpid(self.pid, 0)
        seconds = time.monotonic() - self.began
        texts = {}
        for number, file in self.files.items():
            file.seek(0)
            texts[number] = file.read().decode(errors="replace")
            file.close()
        answer = json.loads(texts[4]) if texts[4].strip() else {}
        if hung:
            answer = {"error": {"code": "hangs", "frames": [f"no end after {LIMIT} s"]}}
        events = [json.loads(line) for line in texts[5].splitlines() if line.strip()]
        outcome = Outcome(answer, events, texts[2], os.waitstatus_to_exitcode(status), seconds)
        if self.measure:
            with open(self.measure, encoding="ascii") as file:
                outcome.memory = json.load(file)["memory"]
        return outcome


def start(images, reference, endpoints, **more):
    return Running(request_for(images, reference, endpoints, **more))


def pull(images, reference, endpoints, **more):
    """Pulls into the store and returns the Outcome. `more` goes into the request: platform, if_digest, settings..."""
    return start(images, reference, endpoints, **more).wait()


class Store:
    """An image store with one image in it, which every pull must leave alone."""

    _templates = {}

    def __init__(self, world):
        self.path = os.path.join(tempfile.mkdtemp(dir=world.dir, prefix="store"), "images")
        if world.token not in Store._templates:
            world.import_image(name="kept")
            Store._templates[world.token] = world.path("images")
        shutil.copytree(Store._templates[world.token], self.path, symlinks=True)
        self.index = self.read("index.json")

    def read(self, name):
        with open(os.path.join(self.path, name), "rb") as file:
            return file.read()

    def names(self, directory):
        """Files of a directory of the store; none when it is not there."""
        path = os.path.join(self.path, directory)
        return sorted(os.listdir(path)) if os.path.isdir(path) else []

    def hashes(self):
        """Every blob that counts as whole, by digest -> path: those in blobs/ and those staged for it."""
        found = {"sha256:" + name: f"blobs/sha256/{name}" for name in self.names("blobs/sha256")}
        for name in self.names(STAGING):
            if name.endswith(".done"):
                found["sha256:" + name.removesuffix(".done").partition("-")[2]] = f"{STAGING}/{name}"
        return found

    def damaged(self):
        """Blobs that count as whole and are not what their name says."""
        return [path for digest, path in self.hashes().items() if digest_of(self.read(path)) != digest]

    def lacks(self, image):
        """Digests of the image that are not there."""
        needed = {image.digest, image.manifest["config"]["digest"], *(layer["digest"] for layer in image.manifest["layers"])}
        return needed - self.hashes().keys()
