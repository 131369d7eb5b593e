"""What tests of containers on crun and runc share: the same tests over both, a wrapper that notes the calls."""
import os
import shutil
import sys
import unittest

import support


def both(cls):
    """Class decorator: the same tests over crun and over runc, each skipped by name where it is missing."""
    module = sys.modules[cls.__module__]
    for runtime in ("crun", "runc"):
        name = cls.__name__ + runtime.capitalize()
        made = type(name, (cls, support.Case), {"runtime": runtime, "__module__": cls.__module__})
        made = unittest.skipUnless(shutil.which(runtime), f"needs the package {runtime}")(support.needs_root(made))
        setattr(module, name, made)
    return cls


class OverRuntime:
    runtime = ""

    @classmethod
    def setUpClass(cls):
        if cls.runtime == "crun":
            cls.enterClassContext(support.crun_can_run())
        super().setUpClass()

    @classmethod
    def prepare(cls):
        """The runtime's wrapper notes every call and what it found; its state directory exists from now on."""
        cls.calls = cls.world.path("calls")
        cls.wrapper = cls.world.path("wrapper")
        with open(cls.wrapper, "w", encoding="utf-8") as file:
            # Never more than one write for one call: several may run at once.
            file.write(f"#!/bin/sh\necho \"$*\" >> {cls.calls}\nexec {shutil.which(cls.runtime)} \"$@\"\n")
        os.chmod(cls.wrapper, 0o755)
        cls.binary = cls.world.binary + "-" + cls.runtime
        cls.bundle = cls.world.bundle(["sleep", "100"])
        done = cls.world.raw([cls.binary, "--config", cls.world.config, "run", "--bundle",
                              cls.world.bundle(["true"]), cls.world.new_id()])
        if done.code:
            raise unittest.SkipTest(f"{cls.runtime} runs no container here: {done.err.strip()}")

    def argv(self, *args):
        return [self.binary, "--config", self.world.config, *map(str, args)]

    def rt(self, *args, **kwargs):
        return self.world.raw(self.argv(*args), **kwargs)

    def rt_ok(self, *args, **kwargs):
        answer = self.rt(*args, **kwargs)
        self.assertEqual(answer.code, 0, str(answer))
        return answer

    def create(self, bundle, *options, **kwargs):
        container = self.world.new_id()
        answer = self.rt("create", "--bundle", bundle, *options, container, **kwargs)
        self.addCleanup(self.rt, "delete", "--force", container)
        self.assertEqual(answer.code, 0, str(answer))
        return container

    def started(self, *args, **changes):
        container = self.create(self.world.bundle(list(args) or ["sleep", "100"], **changes))
        self.rt_ok("start", container)
        return container

    def state(self, container):
        return self.rt_ok("state", container).json()

    def wrapped(self):
        """Through the wrapper from now on, until the test ends; forgets earlier calls."""
        with open(self.calls, "w", encoding="utf-8"):
            pass
        self.world.write_config(extra=f'[runtime.{self.runtime}]\npath = "{self.wrapper}"\n')
        self.addCleanup(self.world.write_config)

    def called(self):
        """What the wrapper was asked for: the words from the verb on."""
        with open(self.calls, encoding="utf-8") as file:
            lines = [line.split() for line in file]
        verbs = {"create", "start", "state", "kill", "delete", "exec", "pause", "resume", "ps", "list", "checkpoint",
                 "restore", "--version"}
        return [line[next(i for i, word in enumerate(line) if word in verbs):] for line in lines]
