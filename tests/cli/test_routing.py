"""Which backend a container gets, as people and engines see it."""
import unittest

import support


class Routing(support.Case):
    @classmethod
    def prepare(cls):
        cls.world.write_config(extra='''[[runtime.rule]]
id = "^db-"
runtime = "runc"

[[runtime.rule]]
id = "^web-"
image = "nginx"
runtime = "crun"

[[runtime.rule]]
image = "^docker[.]io/library/redis:"
runtime = "crun"
''')

    def route(self, *args):
        return self.run_ok("route", *args).out.splitlines()

    def test_rules_and_default(self):
        self.assertEqual(self.route("db-1"), ["runc"])
        self.assertEqual(self.route("other"), ["lxc"])
        self.assertEqual(self.route("redis"), ["crun"])
        self.assertEqual(self.route("docker.io/library/redis:7"), ["crun"])
        self.assertEqual(self.route("web-1"), ["lxc"], "both expressions of a rule must match")
        self.assertEqual(self.route("--image", "nginx", "web-1"), ["crun"])

    def test_explain_names_the_rule_that_decided(self):
        lines = self.route("--explain", "--image", "nginx", "web-1")
        self.assertEqual(lines[0], "crun")
        self.assertIn('id "^db-" does not match', lines[-2])
        self.assertIn(f'rule at {self.world.config}:', lines[-1])
        self.assertIn('id "^web-" matches, image "nginx" matches', lines[-1])

    def test_annotation_option_and_name_come_first(self):
        self.assertEqual(self.route("--annotation", "org.nexcage.runtime=lxc", "db-1"), ["lxc"])
        answer = self.world.raw([self.world.binary, "--config", self.world.config, "--runtime", "crun", "route", "db-1"])
        self.assertEqual(answer.out, "crun\n", str(answer))
        answer = self.world.raw([self.world.binary + "-lxc", "--config", self.world.config, "route", "--explain", "db-1"])
        self.assertEqual(answer.out.splitlines()[0], "lxc", str(answer))
        self.assertIn("command line", answer.out)

    def test_config_show_has_the_rules(self):
        self.assertIn('[[runtime.rule]]\nid = "^db-"\nruntime = "runc"\n', self.run_ok("config", "show").out)
        rules = self.run_ok("config", "show", "--format", "json").json()["runtime.rule"]
        self.assertEqual([rule["runtime"] for rule in rules], ["runc", "crun", "crun"])


class BadRules(support.Case):
    def test_an_expression_that_does_not_compile_stops_every_command(self):
        self.world.write_config(extra='[[runtime.rule]]\nruntime = "crun"\nid = "web["\n')
        with open(self.world.config, encoding="utf-8") as file:
            line = 1 + [text.strip() for text in file].index('id = "web["')
        for args in (["list"], ["route", "x"], ["create", "--bundle", "/", "x"]):
            answer, records = self.world.logged(*args)
            self.assert_error(answer, records, "ConfigError", 1, f"{self.world.config}:{line}", '"web["')


@support.needs_root
class Chosen(support.Case):
    def test_the_rule_decides_where_the_container_runs(self):
        """A backend of guests refuses bundles, so nothing else is needed to see which was chosen."""
        self.world.write_config(extra='[[runtime.rule]]\nid = "-9"\nruntime = "proxmox-vm"\n')
        bundle = self.world.bundle(["true"])
        answer, records = self.world.logged("run", "--bundle", bundle, self.world.token + "-9")
        self.assert_error(answer, records, "Unsupported", 1, "proxmox-vm")
        self.run_ok("run", "--bundle", bundle, self.world.token + "-8")
        annotated = self.world.bundle(["true"], annotations={"org.nexcage.runtime": "lxc"})
        self.run_ok("run", "--bundle", annotated, self.world.token + "-9")

    def test_an_existing_container_stays_where_it_is(self):
        container = self.world.new_id()
        self.run_ok("create", "--bundle", self.world.bundle(["sleep", "9"]), container)
        self.addCleanup(self.world.run, "delete", "--force", container)
        answer = self.world.raw([self.world.binary, "--config", self.world.config, "--runtime", "crun", "route",
                                 "--explain", container])
        self.assertEqual(answer.out.splitlines()[0], "lxc", str(answer))
        self.assertIn("exists", answer.out)


if __name__ == "__main__":
    unittest.main()
