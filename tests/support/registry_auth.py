"""Who may come in: certificates of an authority of our own, basic and bearer authentication for the scripted registry.
Python's standard library and the openssl program."""
import base64
import hashlib
import json
import os
import subprocess
import urllib.parse

from registry_server import Answer, problem


class Basic:
    """Basic authentication, as `auth` of a registry."""

    def __init__(self, user="user", password="secret"):
        self.expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def __call__(self, request):
        if request.headers.get("authorization") == self.expected:
            return None
        return problem(401, "UNAUTHORIZED", "authentication required", WWW_Authenticate='Basic realm="test"')


class Tokens:
    """Bearer tokens, as `auth` of a registry. The realm is /token of the registry itself, or `realm`.
    uses: how many requests one token is good for. anonymous: tokens are had without credentials.
    identity: the refresh token that a POST may bring instead of user and password."""

    def __init__(self, user="user", password="secret", anonymous=False, uses=None, realm=None, expires=300,
                 identity=None):
        self.basic, self.anonymous, self.uses, self.realm, self.expires = Basic(user, password), anonymous, uses, realm, expires
        self.left, self.issued, self.identity = {}, 0, identity

    def __call__(self, request):
        if request.kind == "token":
            return self.issue(request)
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        left = self.left.get(token, 0)
        if left:
            self.left[token] = left - 1
            return None
        return self.challenge(request)

    def challenge(self, request, error='error="invalid_token"'):
        scope = f"repository:{request.repository}:pull" if request.repository else ""
        words = [f'realm="{self.realm or request.registry.url + "/token"}"', 'service="test"',
                 *([f'scope="{scope}"'] if scope else []), *([error] if "authorization" in request.headers else [])]
        return problem(401, "UNAUTHORIZED", "authentication required", WWW_Authenticate="Bearer " + ",".join(words))

    def issue(self, request):
        if request.method == "POST":
            form = urllib.parse.parse_qs(request.body.decode())
            if form.get("refresh_token") != [self.identity]:
                return problem(401, "UNAUTHORIZED", "the identity token is not known")
        elif "authorization" in request.headers or not self.anonymous:
            refusal = self.basic(request)
            if refusal:
                return refusal
        self.issued += 1
        token = hashlib.sha256(f"token {self.issued} {id(self)}".encode()).hexdigest()
        self.left[token] = self.uses or 1 << 30
        return Answer(200, json.dumps({"token": token, "expires_in": self.expires}).encode(), Content_Type="application/json")


class Authority:
    """A certificate authority in a directory, made by openssl: `certificate`, and what issue() makes.
    `trusting` is a directory with its ca.crt only, as certs.d has them."""

    def __init__(self, directory, name="Test authority"):
        self.directory = directory
        self.trusting = self.path("trusting")
        os.makedirs(self.trusting)
        self.certificate, self.key = os.path.join(self.trusting, "ca.crt"), self.path("ca.key")
        self._new_key(self.key)
        openssl("req", "-x509", "-new", "-key", self.key, "-subj", f"/CN={name}", "-days", "2", "-out", self.certificate,
                "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def path(self, name):
        return os.path.join(self.directory, name)

    @staticmethod
    def _new_key(path, kind="EC"):
        options = ["-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "EC" else ["-pkeyopt", "rsa_keygen_bits:2048"]
        openssl("genpkey", "-algorithm", kind, *options, "-out", path)

    def issue(self, name="server", names="DNS:localhost,IP:127.0.0.1", expired=False, kind="EC"):
        """(certificate, key) for these names; `expired` ended a year ago."""
        certificate, key, request, settings = (self.path(f"{name}.{end}") for end in ("crt", "key", "csr", "cnf"))
        self._new_key(key, kind)
        openssl("req", "-new", "-key", key, "-subj", f"/CN={name}", "-out", request)
        with open(settings, "w", encoding="utf-8") as file:
            file.write(f"[ca]\ndefault_ca=d\n[d]\ndatabase={self.path('index.txt')}\nrand_serial=yes\nnew_certs_dir={self.directory}\n"
                       f"default_md=sha256\npolicy=p\nunique_subject=no\n[p]\ncommonName=supplied\n[x]\n"
                       f"subjectAltName={names}\nbasicConstraints=CA:FALSE\n")
        with open(self.path("index.txt"), "a", encoding="utf-8"):
            pass
        begin, end = ("20200101000000Z", "20210101000000Z") if expired else ("20200101000000Z", "20991231000000Z")
        openssl("ca", "-batch", "-notext", "-config", settings, "-cert", self.certificate, "-keyfile", self.key, "-in", request,
                "-startdate", begin, "-enddate", end, "-extensions", "x", "-out", certificate)
        return certificate, key


def openssl(*argv, data=None):
    done = subprocess.run(["openssl", *argv], input=data, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"openssl {' '.join(argv)}: {done.stderr.decode()}")
    return done.stdout
