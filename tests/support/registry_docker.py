"""docker-registry (Debian's package) on a free port of the loopback, with the ways to come in that it knows:
anonymous, htpasswd, tokens, TLS; and as a pull-through mirror. Images are put in by skopeo."""
import base64
import contextlib
import http.server
import json
import os
import secrets
import shutil
import socket
import subprocess
import threading
import time
import urllib.parse

import support
from registry_auth import openssl
from registry_images import digest_of

USER, PASSWORD = "user", "secret"
# `htpasswd -Bbn -C 5 user secret`
HTPASSWD = "user:$2y$05$qvjY3SllIuYb.S9rZKkjouDFKqOPXlKgeKLBAEnGN9GPiDbDjSgeC\n"


def absent():
    """Why the registry cannot be had here; None when it can."""
    missing = [tool for tool in ("docker-registry", "skopeo", "openssl") if not shutil.which(tool)]
    return f"needs the program {' and '.join(missing)}" if missing else None


class DockerRegistry:
    """A running registry. Options: htpasswd=True; tokens=TokenServer; tls=(certificate, key); mirror_of=URL;
    schema1 is off, deleting on."""

    def __init__(self, directory, htpasswd=False, tokens=None, tls=None, mirror_of=None):
        os.makedirs(directory)
        self.directory, self.process = directory, None
        self.credentials = f"{USER}:{PASSWORD}" if htpasswd or tokens else None
        http_part = {"secret": secrets.token_hex(8)}
        if tls:
            http_part["tls"] = {"certificate": tls[0], "key": tls[1]}
        self.settings = {
            "version": 0.1, "log": {"level": "warn", "accesslog": {"disabled": False}}, "http": http_part,
            "storage": {"filesystem": {"rootdirectory": self.path("data")}, "delete": {"enabled": True}}}
        if htpasswd:
            with open(self.path("htpasswd"), "w", encoding="utf-8") as file:
                file.write(HTPASSWD)
            self.settings["auth"] = {"htpasswd": {"realm": "test", "path": self.path("htpasswd")}}
        if tokens:
            self.settings["auth"] = {"token": tokens.settings()}
        if mirror_of:
            self.settings["proxy"] = {"remoteurl": mirror_of}
        self.scheme = "https" if tls else "http"
        self.certificates = None
        self.start()

    def path(self, name):
        return os.path.join(self.directory, name)

    @property
    def url(self):
        return f"{self.scheme}://{self.host}"

    def start(self):
        """Starts it on a free port; another try when somebody takes the port in between."""
        for _ in range(5):
            with socket.create_server(("127.0.0.1", 0)) as probe:
                port = probe.getsockname()[1]
            self.host = f"127.0.0.1:{port}"
            self.settings["http"]["addr"] = self.host
            with open(self.path("config.yml"), "w", encoding="utf-8") as file:
                json.dump(self.settings, file)  # JSON is YAML
            # Variables that begin with REGISTRY_ are settings for it, REGISTRY_AUTH_FILE of containers-auth.json(5) too.
            env = {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")}
            with open(self.path("log"), "ab") as log:
                self.process = subprocess.Popen(["docker-registry", "serve", self.path("config.yml")], stdin=subprocess.DEVNULL,
                                                stdout=log, stderr=log, env=env)
            with contextlib.suppress(AssertionError):
                support.wait_for(lambda port=port: self.process.poll() is not None or listens(port), 20, "the registry")
            if self.process.poll() is None:
                return
        raise RuntimeError("docker-registry does not start: " + self.log()[-2000:])

    def log(self):
        with open(self.path("log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(20)
            self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def skopeo_options(self, which):
        options = [f"--{which}-creds", self.credentials] if self.credentials else []
        if self.certificates:  # a directory with ca.crt
            return [*options, f"--{which}-cert-dir", self.certificates]
        return [*options, f"--{which}-tls-verify=false"]

    def push(self, source, name, *options):
        """Copies an image (skopeo's transport name) into the registry under repository:tag."""
        skopeo("copy", "-q", *options, *self.skopeo_options("dest"), source, f"docker://{self.host}/{name}")
        return f"{self.host}/{name}"

    def pull(self, name, target, *options):
        skopeo("copy", "-q", *options, *self.skopeo_options("src"), f"docker://{self.host}/{name}", target)

    def digest(self, name):
        """The digest that the registry has for repository:tag."""
        options = [option.replace("--src-", "--") for option in self.skopeo_options("src")]
        raw = skopeo("inspect", "--raw", *options, f"docker://{self.host}/{name}")
        return digest_of(raw)


def listens(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def skopeo(*argv):
    done = subprocess.run(["skopeo", "--insecure-policy", *argv], capture_output=True, check=False, timeout=120)
    if done.returncode:
        raise RuntimeError(f"skopeo {' '.join(argv)}: {done.stderr.decode()}")
    return done.stdout


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class TokenServer:
    """Gives signed tokens (JWT, RS256) that docker-registry takes. Pulling is open to everybody when `anonymous`,
    pushing takes the password. `scopes` records what was asked for."""

    def __init__(self, authority, anonymous=False, seconds=300):
        self.authority, self.anonymous, self.seconds, self.scopes = authority, anonymous, seconds, []
        self.certificate, self.key = authority.issue("tokens", kind="RSA")
        der = openssl("x509", "-in", self.certificate, "-outform", "DER")
        self.header = base64url(json.dumps({"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}).encode())
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.answer(self)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/token"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def settings(self):
        return {"realm": self.url, "service": "test registry", "issuer": "test issuer", "rootcertbundle": self.authority.certificate}

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def token(self, access, subject):
        now = int(time.time())
        claims = {"iss": "test issuer", "sub": subject, "aud": "test registry", "exp": now + self.seconds, "nbf": now - 10,
                  "iat": now - 10, "jti": secrets.token_hex(8), "access": access}
        text = self.header + "." + base64url(json.dumps(claims).encode())
        return text + "." + base64url(openssl("dgst", "-sha256", "-sign", self.key, data=text.encode()))

    def answer(self, handler):
        given = handler.headers.get("Authorization", "")
        known = given == "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if (given and not known) or (not given and not self.anonymous):
            return self.say(handler, 401, {"errors": [{"code": "UNAUTHORIZED", "message": "wrong user or password"}]})
        access = []
        for scope in urllib.parse.parse_qs(urllib.parse.urlparse(handler.path).query).get("scope", []):
            self.scopes.append(scope)
            kind, _, rest = scope.partition(":")
            name, _, actions = rest.rpartition(":")
            allowed = [action for action in actions.split(",") if known or action == "pull"]
            access.append({"type": kind, "name": name, "actions": allowed})
        self.say(handler, 200, {"token": self.token(access, USER if known else ""), "expires_in": self.seconds})

    @staticmethod
    def say(handler, status, document):
        data = json.dumps(document).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)
