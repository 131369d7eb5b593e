#include "nexcage/cli/create_args.h"

#include "result_matchers.h"

namespace nexcage::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;

Result<runtime::Request> request(std::vector<std::string> arguments,
                                 const std::string& argv0 = "nexcage", Globals globals = {}) {
  CreateArgs args;
  Options options;
  args.declare(options);
  const Context context(Program::from_argv0(argv0), std::move(globals));
  NX_TRY(auto words, parse_options(options, Order::options_first, arguments));
  return args.request(context, std::move(words));
}

TEST(CreateArgs, bundle_makes_it_the_oci_form) {
  auto made = request({"--bundle", "/b", "-f", "/c.json", "--pid-file", "/p", "--console-socket",
                       "/s", "--no-pivot", "--no-new-keyring", "--preserve-fds=2", "c1"});
  ASSERT_OK(made);
  EXPECT_EQ(made->id, "c1");
  const auto& source = std::get<runtime::BundleSource>(made->source);
  EXPECT_EQ(source.bundle, "/b");
  EXPECT_EQ(source.config_file, "/c.json");
  EXPECT_EQ(made->pid_file, "/p");
  EXPECT_EQ(made->console_socket, "/s");
  EXPECT_EQ(made->pivot, backends::Pivot::move_mount);
  EXPECT_EQ(made->keyring, backends::Keyring::inherited);
  EXPECT_EQ(made->preserve_fds, 2);
}

TEST(CreateArgs, a_fixed_name_is_the_oci_form_in_the_working_directory) {
  auto made = request({"c1"}, "/usr/bin/nexcage-crun");
  ASSERT_OK(made);
  EXPECT_EQ(made->backend, "crun");
  EXPECT_THAT(std::get<runtime::BundleSource>(made->source).bundle, MatchesRegex("/.*[^/.]"));
}

TEST(CreateArgs, the_backend_may_stand_on_either_side_of_the_verb) {
  Globals globals;
  globals.runtime = "runc";
  EXPECT_EQ(request({"image"}, "nexcage", globals)->backend, "runc");
  EXPECT_EQ(request({"--runtime", "crun", "image"}, "nexcage", globals)->backend, "crun");
  EXPECT_EQ(request({"--runtime", "lxc", "c1"}, "nexcage-lxc")->backend, "lxc");
  EXPECT_ERROR(request({"--runtime", "crun", "c1"}, "nexcage-lxc"), Errc::InvalidSpec,
               HasSubstr("nexcage-lxc"));
}

TEST(CreateArgs, image_form_with_everything) {
  auto made = request({"--name",
                       "web",
                       "-e",
                       "A=1",
                       "--user=u:g",
                       "-w/srv",
                       "--entrypoint",
                       "[\"/e\",\"x\"]",
                       "-v",
                       "/h:/c",
                       "--mount",
                       "type=tmpfs,dst=/t",
                       "-m",
                       "64m",
                       "--cpus",
                       "1.5",
                       "--pids-limit=-1",
                       "--hostname",
                       "h",
                       "--annotation",
                       "k=v=w",
                       "--read-only",
                       "-t",
                       "busybox",
                       "sh",
                       "-c",
                       "exit 7"});
  ASSERT_OK(made);
  EXPECT_EQ(made->id, "web");
  const auto& source = std::get<runtime::ImageSource>(made->source);
  EXPECT_EQ(source.image, "busybox");
  EXPECT_THAT(source.command, ElementsAre("sh", "-c", "exit 7"));
  EXPECT_THAT(*source.entrypoint, ElementsAre("/e", "x"));
  EXPECT_THAT(source.env, ElementsAre("A=1"));
  EXPECT_EQ(source.user, "u:g");
  EXPECT_EQ(source.workdir, "/srv");
  EXPECT_EQ(source.hostname, "h");
  ASSERT_EQ(source.mounts.size(), 2u);
  EXPECT_EQ(source.mounts[0].destination, "/c");
  EXPECT_EQ(source.memory, 64u << 20);
  EXPECT_EQ(source.cpus, 1.5);
  EXPECT_EQ(source.pids_limit, -1);
  EXPECT_EQ(source.annotations.at("k"), "v=w");
  EXPECT_TRUE(source.terminal && source.read_only);
}

TEST(CreateArgs, network_options_travel_as_they_are) {
  auto made = request({"--network", "bridge:br0,ip=10.0.0.2/24", "-p", "8080:80", "-p", "53:53/udp",
                       "--dns", "10.0.0.1", "--dns-search", "a.example", "--add-host",
                       "db:10.0.0.3", "busybox"});
  ASSERT_OK(made);
  const network::Options& options = std::get<runtime::ImageSource>(made->source).network;
  EXPECT_EQ(options.network, "bridge:br0,ip=10.0.0.2/24");
  EXPECT_THAT(options.publish, ElementsAre("8080:80", "53:53/udp"));
  EXPECT_THAT(options.dns, ElementsAre("10.0.0.1"));
  EXPECT_THAT(options.search, ElementsAre("a.example"));
  EXPECT_THAT(options.add_host, ElementsAre("db:10.0.0.3"));
}

TEST(CreateArgs, an_id_is_made_when_none_is_given) {
  auto first = request({"busybox"});
  auto second = request({"busybox"});
  ASSERT_OK(first);
  ASSERT_OK(second);
  EXPECT_THAT(first->id, MatchesRegex("[0-9a-f]{12}"));
  EXPECT_NE(first->id, second->id);
}

TEST(CreateArgs, options_of_the_other_form_are_refused) {
  EXPECT_ERROR(request({"--bundle=/b", "--name=x", "c1"}), Errc::InvalidSpec, HasSubstr("--name"));
  EXPECT_ERROR(request({"-e", "A=1", "c1"}, "nexcage-lxc"), Errc::InvalidSpec, HasSubstr("--env"));
  EXPECT_ERROR(request({"--bundle=/b", "--network=none", "c1"}), Errc::InvalidSpec,
               HasSubstr("--network"));
  EXPECT_ERROR(request({"--bundle=/b", "-p", "80:80", "c1"}), Errc::InvalidSpec,
               HasSubstr("--publish"));
  EXPECT_ERROR(request({"-f", "x.json", "image"}), Errc::InvalidSpec, HasSubstr("--bundle"));
}

TEST(CreateArgs, words_are_counted) {
  EXPECT_ERROR(request({}), Errc::InvalidSpec, HasSubstr("expected an image"));
  EXPECT_ERROR(request({"--bundle=/b"}), Errc::InvalidSpec, HasSubstr("container id"));
  EXPECT_ERROR(request({"--bundle=/b", "a", "b"}), Errc::InvalidSpec, HasSubstr("unexpected"));
}

TEST(CreateArgs, values_are_checked) {
  EXPECT_ERROR(request({"-m", "much", "i"}), Errc::InvalidConfig, HasSubstr("--memory"));
  EXPECT_ERROR(request({"--cpus", "0", "i"}), Errc::InvalidSpec, HasSubstr("--cpus"));
  EXPECT_ERROR(request({"--cpus", "1.5x", "i"}), Errc::InvalidSpec, HasSubstr("--cpus"));
  EXPECT_ERROR(request({"--pids-limit", "x", "i"}), Errc::InvalidSpec, HasSubstr("--pids-limit"));
  EXPECT_ERROR(request({"--annotation", "x", "i"}), Errc::InvalidSpec, HasSubstr("KEY=VALUE"));
  EXPECT_ERROR(request({"--preserve-fds", "-1", "i"}), Errc::InvalidSpec,
               HasSubstr("--preserve-fds"));
}

TEST(CreateArgs, the_manager_of_cgroups_is_the_backends_to_judge) {
  Globals globals;
  EXPECT_EQ(request({"i"}, "nexcage", globals)->cgroup_manager, backends::CgroupManager::cgroupfs);
  globals.systemd_cgroup = true;
  EXPECT_EQ(request({"i"}, "nexcage", globals)->cgroup_manager, backends::CgroupManager::systemd);
  globals.systemd_cgroup = false;
  globals.cgroup_manager = "disabled";
  EXPECT_EQ(request({"i"}, "nexcage", globals)->cgroup_manager, backends::CgroupManager::disabled);
}

TEST(ParseEntrypoint, words_and_arrays) {
  EXPECT_THAT(*parse_entrypoint("a b"), ElementsAre("a b"));
  EXPECT_THAT(*parse_entrypoint(""), IsEmpty());
  EXPECT_THAT(*parse_entrypoint("[]"), IsEmpty());
  EXPECT_ERROR(parse_entrypoint("[1]"), Errc::InvalidSpec, HasSubstr("strings"));
  EXPECT_ERROR(parse_entrypoint("[\"a\""), Errc::InvalidJson, HasSubstr("--entrypoint"));
}

TEST(ParseEnvFile, skips_comments_and_empty_lines) {
  EXPECT_THAT(parse_env_file("A=1\n# c\n\nB\r\n  # d\nC= x \n"), ElementsAre("A=1", "B", "C= x "));
}

}  // namespace
}  // namespace nexcage::cli
