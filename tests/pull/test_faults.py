"""Pulls from registries that go wrong: each ends with the right error, or well, and harms nothing.

The scenarios are in scenarios_*.py; one test each. Most of their time is waiting, so that a whole run plays them
side by side.
"""
import concurrent.futures
import unittest

import pulling
import scenarios_access
import scenarios_content
import scenarios_wire  # noqa: F401  (each fills the table)
import support
from scenario import TABLE, Stage

SIDE_BY_SIDE = 8


@unittest.skipIf(pulling.absent(), pulling.absent())
@support.needs_root
class Faults(support.Case):
    whole = False

    @classmethod
    def prepare(cls):
        pulling.Store(cls.world)  # the image that all stores hold
        cls.played = {}
        if cls.whole:
            pool = concurrent.futures.ThreadPoolExecutor(SIDE_BY_SIDE)
            cls.addClassCleanup(pool.shutdown, cancel_futures=True)
            cls.played = {one.name: pool.submit(cls("test_names").play, one) for one in TABLE}

    def play(self, one):
        stage = Stage(self.world, self)
        try:
            stage.play(one)
        finally:
            stage.close()

    def check(self, one):
        if one.name in self.played:
            self.played[one.name].result()
        else:
            self.play(one)

    def test_names(self):
        self.assertEqual(len({one.name for one in TABLE}), len(TABLE))
        self.assertGreaterEqual(len(TABLE), 60)


def add(one):
    test = lambda self: self.check(one)  # noqa: E731
    test.__doc__ = one.behaviour
    setattr(Faults, f"test_{one.name}", test)


for each in TABLE:
    add(each)


def load_tests(loader, tests, pattern):
    """The whole file is asked for, not single tests."""
    Faults.whole = True
    return tests


if __name__ == "__main__":
    unittest.main()
