// Fields of the runtime spec that liblxc knows nothing of, seen in real containers: id maps of
// mounts, links, clocks, network devices, affinity and cgroups of executed processes, capabilities.
#include <sched.h>
#include <sys/mount.h>

#include <thread>

#include "container_fixture.h"
#include "nexcage/sys/caps.h"

namespace nexcage {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class LxcFields : public testing::ContainerTest {
 protected:
  oci::Mount& bind(const std::string& name, std::vector<std::string> options) {
    std::filesystem::create_directory(scratch + "/" + name);
    std::ofstream(scratch + "/" + name + "/file") << "content\n";
    return spec.mounts.emplace_back(oci::Mount{.destination = "/" + name,
                                               .type = "bind",
                                               .source = scratch + "/" + name,
                                               .options = std::move(options),
                                               .uid_mappings = {},
                                               .gid_mappings = {}});
  }
  /// What a process that is executed in the running container prints.
  Result<std::string> exec_output(backends::ExecRequest request, const std::string& script) {
    request.process.args = {"sh", "-c", "exec >/out/exec 2>&1; " + script};
    NX_TRY(auto started, backend->exec(record, spec, request));
    NX_CHECK(started.child.wait());
    return sys::read_file(AT_FDCWD, scratch + "/out/exec");
  }
  /// A sleeping container with /out.
  Result<> start_sleeping() {
    spec.process->args = {"sleep", "100"};
    spec.mounts.push_back({.destination = "/out",
                           .type = "bind",
                           .source = scratch + "/out",
                           .options = {"rbind"},
                           .uid_mappings = {},
                           .gid_mappings = {}});
    return create_and_start();
  }
};

bool can_make_user_namespaces() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(::unshare(CLONE_NEWUSER) == 0 ? 0 : 1);
  int status = 0;
  return child > 0 && ::waitpid(child, &status, 0) == child && status == 0;
}

TEST_F(LxcFields, IdMapsOfABind) {
  if (!can_make_user_namespaces()) GTEST_SKIP() << "no user namespaces here";
  oci::Mount& mount = bind("mapped", {"rbind"});
  mount.uid_mappings = {{.container_id = 0, .host_id = 1000, .size = 1}};
  mount.gid_mappings = {{.container_id = 0, .host_id = 2000, .size = 1}};
  auto text = output_of("stat -c '%u %g' /mapped/file");
  ASSERT_OK(text);
  EXPECT_EQ(*text, "1000 2000\n");
  struct stat outside{};
  ASSERT_EQ(::stat((scratch + "/mapped/file").c_str(), &outside), 0);
  EXPECT_EQ(outside.st_uid, 0u);
}

TEST_F(LxcFields, IdmapAndRidmapDifferBelow) {
  if (!can_make_user_namespaces()) GTEST_SKIP() << "no user namespaces here";
  for (const char* option : {"idmap", "ridmap"}) {
    oci::Mount& mount = bind(option, {"rbind", option});
    const std::string below = mount.source + "/below";
    ASSERT_EQ(::mkdir(below.c_str(), 0755), 0);
    ASSERT_EQ(::mount("t", below.c_str(), "tmpfs", 0, nullptr), 0);
    mount.uid_mappings = {{.container_id = 0, .host_id = 1000, .size = 1}};
    mount.gid_mappings = {{.container_id = 0, .host_id = 1000, .size = 1}};
  }
  auto text = output_of("stat -c %u /idmap /idmap/below /ridmap /ridmap/below");
  for (const char* option : {"idmap", "ridmap"})
    (void)::umount2((scratch + "/" + option + "/below").c_str(), MNT_DETACH);
  ASSERT_OK(text);
  EXPECT_EQ(*text, "1000\n0\n1000\n1000\n");
}

TEST_F(LxcFields, IdmapWithoutMapsIsTheContainersNamespace) {
  if (!can_make_user_namespaces()) GTEST_SKIP() << "no user namespaces here";
  spec.linux_->namespaces.push_back({.type = oci::NamespaceType::user, .path = ""});
  spec.linux_->uid_mappings = {{.container_id = 0, .host_id = 100000, .size = 65536}};
  spec.linux_->gid_mappings = {{.container_id = 0, .host_id = 100000, .size = 65536}};
  for (const auto& entry : std::filesystem::recursive_directory_iterator(rootfs))
    ASSERT_EQ(::lchown(entry.path().c_str(), 100000, 100000), 0);
  ASSERT_EQ(::chown(rootfs.c_str(), 100000, 100000), 0);
  bind("mapped", {"rbind", "idmap"});
  auto text =
      output_of("stat -c '%u %g' /mapped/file; echo more >> /mapped/file && cat /mapped/file");
  ASSERT_OK(text);
  EXPECT_EQ(*text, "0 0\ncontent\nmore\n");
}

TEST_F(LxcFields, IdmapWithoutAnyMapIsRefused) {
  bind("mapped", {"rbind", "idmap"});
  EXPECT_ERROR(create(), Errc::InvalidConfig, HasSubstr("the container has no user namespace"));
  spec.mounts.back().type = "tmpfs";
  spec.mounts.back().options = {"idmap"};
  EXPECT_ERROR(create(), Errc::Unsupported, HasSubstr("for bind mounts only"));
}

TEST_F(LxcFields, RecursiveReadOnlyReachesMountsBelow) {
  oci::Mount& mount = bind("tree", {"rbind", "rro"});
  const std::string below = mount.source + "/below";
  ASSERT_EQ(::mkdir(below.c_str(), 0755), 0);
  ASSERT_EQ(::mount("t", below.c_str(), "tmpfs", 0, nullptr), 0);
  auto text = output_of("touch /tree/x /tree/below/x");
  (void)::umount2(below.c_str(), MNT_DETACH);
  ASSERT_OK(text);
  EXPECT_THAT(*text, AllOf(HasSubstr("touch: /tree/x: Read-only"),
                           HasSubstr("touch: /tree/below/x: Read-only")));
}

TEST_F(LxcFields, ALinkIsCopiedWhereAskedFor) {
  std::filesystem::create_symlink("/etc/passwd", scratch + "/link");
  spec.mounts.push_back({.destination = "/srv/link",
                         .type = "bind",
                         .source = scratch + "/link",
                         .options = {"bind", "copy-symlink"},
                         .uid_mappings = {},
                         .gid_mappings = {}});
  auto text = output_of("readlink /srv/link; grep -c www /srv/link");
  ASSERT_OK(text);
  EXPECT_EQ(*text, "/etc/passwd\n1\n");
}

TEST_F(LxcFields, TimeOffsetsInSecondsAndNanoseconds) {
  spec.linux_->namespaces.push_back({.type = oci::NamespaceType::time, .path = ""});
  spec.linux_->time_offsets["monotonic"] = {.secs = 1000, .nanosecs = 7};
  spec.linux_->time_offsets["boottime"] = {.secs = 2000000, .nanosecs = 5};
  auto text = output_of("cat /proc/self/timens_offsets; cat /proc/uptime");
  ASSERT_OK(text);
  EXPECT_THAT(*text, HasSubstr("monotonic        1000         7\n"));
  EXPECT_THAT(*text, HasSubstr("boottime      2000000         5\n"));
  const std::string uptime = text->substr(text->rfind('\n', text->size() - 2) + 1);
  EXPECT_GT(std::stod(uptime), 2000000.0);
}

TEST_F(LxcFields, ATimeNamespaceWithoutOffsetsIsANewOne) {
  spec.linux_->namespaces.push_back({.type = oci::NamespaceType::time, .path = ""});
  auto text = output_of("readlink /proc/self/ns/time");
  ASSERT_OK(text);
  EXPECT_NE(*text, *sys::read_link(AT_FDCWD, "/proc/self/ns/time") + "\n");
}

TEST_F(LxcFields, CapabilitiesThatCannotBeGrantedAreLeftOut) {
  oci::Capabilities caps;
  caps.bounding = caps.permitted = caps.effective = {"CAP_KILL", "CAP_FUTURE_THING"};
  auto own = sys::own_capabilities();
  ASSERT_OK(own);
  std::uint64_t expected = 1u << 5;
  for (int number = 0; number < sys::capability_count(); ++number) {
    const std::uint64_t bit = std::uint64_t{1} << number;
    if ((own->permitted & own->bounding & bit) != 0) continue;
    caps.bounding.emplace_back(sys::capability_name(number));
    caps.permitted.emplace_back(sys::capability_name(number));
  }
  spec.process->capabilities = caps;
  auto text = output_of("grep -E 'Cap(Prm|Bnd)' /proc/self/status");
  ASSERT_OK(text);
  EXPECT_EQ(expected, 0x20u);
  EXPECT_EQ(*text, "CapPrm:\t0000000000000020\nCapBnd:\t0000000000000020\n");
}

TEST_F(LxcFields, ExecRunsOnTheProcessorsOfTheSpec) {
  if (std::thread::hardware_concurrency() < 2) GTEST_SKIP() << "needs two processors";
  spec.process->exec_cpu_affinity = oci::CpuAffinity{.initial = "0", .final = "1"};
  ASSERT_OK(start_sleeping());
  backends::ExecRequest request = exec_request({});
  request.process.exec_cpu_affinity.reset();  // config.json's
  auto text = exec_output(request, "grep Cpus_allowed_list /proc/self/status");
  ASSERT_OK(text);
  EXPECT_EQ(*text, "Cpus_allowed_list:\t1\n");
  request.process.exec_cpu_affinity = oci::CpuAffinity{.initial = "", .final = "0"};
  text = exec_output(request, "grep Cpus_allowed_list /proc/self/status");
  ASSERT_OK(text);
  EXPECT_EQ(*text, "Cpus_allowed_list:\t0\n");
  // The container's own process is not concerned.
  auto own = sys::read_file(AT_FDCWD, "/proc/" + std::to_string(record.init.pid) + "/status");
  ASSERT_OK(own);
  EXPECT_THAT(*own, Not(HasSubstr("Cpus_allowed_list:\t1\n")));
}

/// The test's own network namespace for as long as it lives.
class OwnNetwork {
 public:
  OwnNetwork() : before_(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)) {
    good_ = ::unshare(CLONE_NEWNET) == 0;
  }
  ~OwnNetwork() { (void)::setns(before_.get(), CLONE_NEWNET); }
  OwnNetwork(const OwnNetwork&) = delete;
  OwnNetwork& operator=(const OwnNetwork&) = delete;
  OwnNetwork(OwnNetwork&&) = delete;
  OwnNetwork& operator=(OwnNetwork&&) = delete;
  explicit operator bool() const { return good_; }

 private:
  UniqueFd before_;
  bool good_ = false;
};

Result<> ip(std::vector<std::string> words) {
  words.insert(words.begin(), "ip");
  sys::Command command;
  command.argv = std::move(words);
  command.env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  NX_TRY(sys::Output output, sys::run(command, "", std::chrono::seconds(10)));
  if (output.status != 0) return fail(Errc::FileError, output.err);
  return {};
}

TEST_F(LxcFields, NetworkDevicesAreMovedWithTheirAddresses) {
  const OwnNetwork network;
  ASSERT_TRUE(network);
  auto made = ip({"link", "add", "nxdev0", "type", "veth", "peer", "name", "nxdev1"});
  if (!made) GTEST_SKIP() << "cannot make network devices: " << made.error().message();
  ASSERT_OK(ip({"addr", "add", "10.99.1.2/24", "dev", "nxdev1"}));
  ASSERT_OK(ip({"addr", "add", "fd00:99::2/64", "dev", "nxdev1", "nodad"}));
  spec.linux_->net_devices["nxdev1"] = "eth7";
  auto text = output_of(
      "cat /sys/class/net/eth7/flags; grep -c eth7 /proc/net/route; cat /proc/net/if_inet6; ls "
      "/sys/class/net");
  ASSERT_OK(text);
  EXPECT_THAT(*text, HasSubstr("0x1003\n1\n"));  // IFF_UP; the route that the address brings
  EXPECT_THAT(*text, HasSubstr("fd000099000000000000000000000002"));
  EXPECT_THAT(*text, Not(HasSubstr("nxdev1")));
}

TEST_F(LxcFields, ANetworkDeviceThatIsNotThereIsAnError) {
  spec.linux_->net_devices["nxnowhere"] = "";
  EXPECT_ERROR(create(), Errc::FileError,
               AllOf(HasSubstr("linux.netDevices"), HasSubstr("nxnowhere")));
  ASSERT_OK(undo.undo());
  std::erase_if(spec.linux_->namespaces,
                [](const auto& ns) { return ns.type == oci::NamespaceType::network; });
  EXPECT_ERROR(create(), Errc::InvalidConfig, HasSubstr("no network namespace of its own"));
}

}  // namespace
}  // namespace nexcage
