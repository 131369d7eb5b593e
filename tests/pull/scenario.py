"""What a scenario is: a stage with a registry and an image, one pull, what must come out of it; and the ways in which
a registry goes wrong, for rules."""
import dataclasses
import inspect
import os
import time
from typing import Callable

import pulling
from registry_auth import Authority
from registry_images import Image
from registry_server import Answer, ScriptedRegistry

SECRETS = ("secret-password", "secret-identity")
TABLE = []


@dataclasses.dataclass
class Scenario:
    name: str
    behaviour: str
    code: str | None  # None: the pull succeeds
    words: tuple
    act: Callable
    seconds: float


def scenario(code, *words, seconds=20.0):
    """Decorator: the function sets the stage; the pull then ends with `code` (None: well) and the words in its
    message. A generator gets the outcome from its yield, for checks of its own."""
    def add(act):
        TABLE.append(Scenario(act.__name__, inspect.cleandoc(act.__doc__), code, words, act, seconds))
        return act
    return add


class Stage:
    """One registry with `repo:tag`, a good image of three layers unless the scenario puts another one there."""

    def __init__(self, world, test):
        self.world, self.test = world, test
        self.registries = []
        self.registry = self.new_registry()
        self.endpoints = None
        self.request = {}
        self.image = self.good = self.registry.add("repo", Image(), "tag")
        self.reference = None

    def new_registry(self, **options):
        self.registries.append(ScriptedRegistry(**options))
        return self.registries[-1]

    def use_registry(self, **options):
        """Another registry in place of the first one, with the same image."""
        self.registry = self.new_registry(**options)
        self.registry.add("repo", self.image, "tag")
        return self.registry

    def serve(self, image):
        """This image in place of the good one."""
        self.image = self.registry.add("repo", image, "tag")
        return image

    def endpoint(self, registry=None, credential=None, **tls):
        made = pulling.endpoint(registry or self.registry, "repo", credential=credential)
        made["tls"].update(tls)
        return made

    def authority(self, name="ca"):
        return Authority(os.path.join(self.world.path(self.world.new_id()), name))

    def close(self):
        for registry in self.registries:
            registry.stop()

    # --- the pull ---

    def pull(self, store, **more):
        reference = self.reference or f"{self.registry.host}/repo:tag"
        return pulling.pull(store.path, reference, self.endpoints or [self.endpoint()], **{**self.request, **more})

    def play(self, one):
        """The scenario, then the same with a healthy registry."""
        store = pulling.Store(self.world)
        checks = one.act(self)
        if checks is not None:
            next(checks)
        outcome = self.pull(store)
        about = f"{one.name}: {one.behaviour}\n{outcome}\n" + "\n".join(str(registry) for registry in self.registries)
        self.test.assertEqual(outcome.code, one.code, about)
        for word in one.words:
            self.test.assertIn(word.lower(), outcome.message.lower(), about)
        self.test.assertLess(outcome.seconds, one.seconds, about)
        self.test.assertEqual([error for registry in self.registries for error in registry.errors], [], about)
        self.unharmed(store, about)
        self.no_secret(outcome, about)
        if one.code is None:
            self.complete(store, outcome, about)
        if checks is not None:
            try:
                checks.send(outcome)
            except StopIteration:
                pass
            except AssertionError as error:
                raise AssertionError(f"{error}\n{about}") from error
        if one.code is not None:
            self.heals(store, about)

    def heals(self, store, about):
        """What went wrong leaves nothing behind that stands in the way of the next pull."""
        with ScriptedRegistry() as registry:
            self.registry, self.image, self.endpoints, self.reference, self.request = registry, self.good, None, None, {}
            registry.add("repo", self.good, "tag")
            again = self.pull(store)
            self.test.assertIsNone(again.code, f"the next pull, from a good registry: {again}\nafter {about}")
            self.complete(store, again, about)

    def complete(self, store, outcome, about):
        if not outcome.ok["unchanged"]:
            self.test.assertEqual(outcome.ok["manifest"]["digest"], self.image.digest, about)
            self.test.assertEqual(store.lacks(self.image), set(), about)

    def unharmed(self, store, about):
        self.test.assertEqual(store.read("index.json"), store.index, f"index.json was changed\n{about}")
        self.test.assertEqual(store.damaged(), [], about)

    def no_secret(self, outcome, about):
        text = f"{outcome.answer} {outcome.events} {outcome.stderr}"
        for secret in SECRETS:
            self.test.assertNotIn(secret, text, about)


# --- ways to go wrong ---


def cut(count, how="reset"):
    """The first `count` bytes of the body, then RST ("reset"), FIN ("close") or silence ("hang")."""
    def act(wire, request, good):
        wire.answer(good, upto=count)
        getattr(wire, how)()
    return act


def say(status, body=b"", **headers):
    """This answer instead of the good one."""
    return lambda wire, request, good: wire.answer(Answer(status, body, **headers))


def change(**headers):
    """The good answer with other headers; None takes one away."""
    def act(wire, request, good):
        good.headers.update({name.replace("_", "-"): str(value) for name, value in headers.items()})
        wire.answer(good)
    return act


def raw(data, how="close"):
    """These bytes, whatever was asked for."""
    def act(wire, request, good):
        wire.send(data)
        getattr(wire, how)()
    return act


def drip(data, interval=0.2):
    """Byte by byte, for ever: a slow loris."""
    def act(wire, request, good):
        while True:
            for byte in data:
                wire.send(bytes([byte]))
                time.sleep(interval)
    return act


def slowly(rate):
    return lambda wire, request, good: wire.answer(good, rate=rate)


def chunks(body, size=1000):
    """The body in the chunked coding."""
    for at in range(0, len(body), size):
        part = bytes(body[at:at + size])
        yield b"%x\r\n%s\r\n" % (len(part), part)


def chunked(upto=None, end=b"0\r\n\r\n"):
    """The good answer in the chunked coding, its last chunk given by `end`."""
    def act(wire, request, good):
        good.headers.pop("Content-Length", None)
        parts = b"".join(chunks(good.body))[:upto] + end
        good.headers["Transfer-Encoding"] = "chunked"
        wire.answer(Answer(good.status, (part for part in (parts,)), **good.headers))
        wire.close()
    return act


def redirect(target, status=307):
    """To a target that may be made from the request."""
    def act(wire, request, good):
        where = target(request) if callable(target) else target
        wire.answer(Answer(status, b"", Location=where))
    return act
