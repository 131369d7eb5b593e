// What is accepted, what it becomes, and that it survives being written again.
#include "nexcage/oci/spec.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "nexcage/oci/spec_testing.h"
#include "result_matchers.h"

namespace nexcage::oci {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Spec parsed(const json::Value& value) {
  auto spec = parse_spec(value);
  EXPECT_OK(spec);
  return spec ? *spec : Spec();
}

/// A document that uses every field of the Linux and VM sections, in the writer's order.
constexpr std::string_view kFull = R"({
"ociVersion":"1.3.0",
"process":{"terminal":true,"consoleSize":{"height":25,"width":80},
 "user":{"uid":1,"gid":4294967294,"umask":63,"additionalGids":[5,6],"username":"u"},
 "args":["sh","-c","a\nb"],"env":["PATH=/bin","EMPTY=","MULTI=a\nb=c"],"cwd":"/root",
 "capabilities":{"bounding":["CAP_KILL"],"effective":["CAP_KILL"],"inheritable":["CAP_CHOWN"],
  "permitted":["CAP_KILL"],"ambient":["CAP_FUTURE_1"]},
 "rlimits":[{"type":"RLIMIT_NOFILE","hard":18446744073709551615,"soft":1024}],
 "noNewPrivileges":true,"apparmorProfile":"p","oomScoreAdj":-1000,
 "scheduler":{"policy":"SCHED_DEADLINE","nice":-20,"priority":99,
  "flags":["SCHED_FLAG_RESET_ON_FORK"],"runtime":1,"deadline":2,"period":3},
 "selinuxLabel":"system_u:system_r:t:s0:c1,c2",
 "ioPriority":{"class":"IOPRIO_CLASS_IDLE","priority":4},
 "execCPUAffinity":{"initial":"7","final":"0-3,7"}},
"root":{"path":"rootfs","readonly":true},
"hostname":"h","domainname":"d.test",
"mounts":[{"destination":"/data","type":"none","source":"/v","options":["rbind","idmap"],
 "uidMappings":[{"containerID":0,"hostID":1000,"size":1}],
 "gidMappings":[{"containerID":0,"hostID":0,"size":4294967295}]}],
"hooks":{"prestart":[{"path":"/a","args":["a","b"],"env":["K=v"],"timeout":5}],
 "createRuntime":[{"path":"/b"}],"createContainer":[{"path":"/c"}],
 "startContainer":[{"path":"/d"}],"poststart":[{"path":"/e"}],"poststop":[{"path":"/f"}]},
"annotations":{"a":"1","b":""},
"linux":{
 "uidMappings":[{"containerID":0,"hostID":1000,"size":32000}],
 "gidMappings":[{"containerID":0,"hostID":1000,"size":32000}],
 "sysctl":{"net.ipv4.ip_forward":"1"},
 "resources":{"devices":[{"allow":false,"access":"rwm"},
   {"allow":true,"type":"c","major":10,"minor":229,"access":"rw"}],
  "memory":{"limit":-1,"reservation":2,"swap":3,"kernel":-1,"kernelTCP":-1,"swappiness":0,
   "disableOOMKiller":false,"useHierarchy":true,"checkBeforeUpdate":true},
  "cpu":{"shares":1024,"quota":1000000,"burst":1000000,"period":500000,"realtimeRuntime":950000,
   "realtimePeriod":1000000,"cpus":"2-3","mems":"0-7","idle":0},
  "pids":{"limit":0},
  "blockIO":{"weight":10,"leafWeight":10,"weightDevice":[{"major":8,"minor":0,"weight":500}],
   "throttleReadBpsDevice":[{"major":8,"minor":0,"rate":600}],
   "throttleWriteBpsDevice":[{"major":8,"minor":0,"rate":600}],
   "throttleReadIOPSDevice":[{"major":8,"minor":16,"rate":300}],
   "throttleWriteIOPSDevice":[{"major":8,"minor":16,"rate":300}]},
  "hugepageLimits":[{"pageSize":"64KB","limit":18446744073709551615}],
  "network":{"classID":1048577,"priorities":[{"name":"eth0","priority":500}]},
  "rdma":{"mlx5_1":{"hcaHandles":3,"hcaObjects":10000}},
  "unified":{"io.max":"259:0 rbps=2097152\n253:0 rbps=1"}},
 "cgroupsPath":"machine.slice:nexcage:web",
 "namespaces":[{"type":"pid","path":"/proc/1/ns/pid"},{"type":"network"},{"type":"mount"},
  {"type":"ipc"},{"type":"uts"},{"type":"user"},{"type":"cgroup"},{"type":"time"}],
 "devices":[{"path":"/dev/fuse","type":"c","major":10,"minor":229,"fileMode":438,"uid":0,
  "gid":0}],
 "netDevices":{"eth0":{"name":"inner%d"},"eth1":{}},
 "seccomp":{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38,
  "architectures":["SCMP_ARCH_X86_64"],"flags":["SECCOMP_FILTER_FLAG_LOG"],
  "listenerPath":"/run/s","listenerMetadata":"m",
  "syscalls":[{"names":["getcwd","chmod"],"action":"SCMP_ACT_ERRNO","errnoRet":1,
   "args":[{"index":1,"value":18446744073709551615,"valueTwo":2,"op":"SCMP_CMP_MASKED_EQ"}]}]},
 "rootfsPropagation":"rslave","maskedPaths":["/proc/kcore"],"readonlyPaths":["/proc/sys"],
 "mountLabel":"l",
 "intelRdt":{"closID":"g","schemata":["L2:0=f"],"l3CacheSchema":"L3:0=7f0",
  "memBwSchema":"MB:0=20","enableMonitoring":true},
 "memoryPolicy":{"mode":"MPOL_INTERLEAVE","nodes":"2-3","flags":["MPOL_F_STATIC_NODES"]},
 "personality":{"domain":"LINUX32"},
 "timeOffsets":{"boottime":{"secs":-5,"nanosecs":7},"monotonic":{"secs":1}}},
"vm":{"hypervisor":{"path":"/vmm","parameters":["a b"]},
 "kernel":{"path":"/k","parameters":["c=d"],"initrd":"/i"},
 "image":{"path":"/img","format":"qcow2"},
 "hwConfig":{"deviceTree":"/dt","vcpus":2,"memory":4194304}}})";

TEST(Spec, EveryFieldSurvivesParsingAndWriting) {
  const json::Value full = document(kFull);
  Spec spec = parsed(full);
  spec.document = json::Value();  // nothing to take over: the types alone must hold it all
  EXPECT_EQ(json::dump(to_json(spec)), json::dump(full));
}

TEST(Spec, FieldsGetTheirValues) {
  const Spec spec = parsed(document(kFull));
  EXPECT_EQ(spec.process->user.gid, 4294967294u);
  EXPECT_EQ(spec.process->user.umask, 077u);
  EXPECT_EQ(spec.process->env[2], "MULTI=a\nb=c");
  EXPECT_EQ(spec.process->rlimits[0].hard, ~std::uint64_t{0});
  EXPECT_EQ(spec.hooks.prestart[0].timeout, 5);
  EXPECT_EQ(spec.linux_->resources->pids_limit, 0);
  EXPECT_EQ(spec.linux_->resources->devices[0].type, 'a');
  EXPECT_EQ(spec.linux_->resources->devices[0].major, std::nullopt);
  EXPECT_EQ(spec.linux_->find(NamespaceType::pid)->path, "/proc/1/ns/pid");
  EXPECT_EQ(spec.linux_->net_devices.at("eth1"), "");
  EXPECT_EQ(spec.linux_->time_offsets.at("boottime").secs, -5);
  EXPECT_EQ(spec.vm->hw_config->vcpus, 2u);
}

class AcceptedVersion : public ::testing::TestWithParam<const char*> {};

TEST_P(AcceptedVersion, Is1xUpTo13) {
  EXPECT_OK(parse_spec(spec_with("ociVersion", json::dump(json::Value(GetParam())))));
}

INSTANTIATE_TEST_SUITE_P(Versions, AcceptedVersion,
                         ::testing::Values("1.0.0", "1.0.2", "1.0.2-dev", "1.1.0", "1.2.1", "1.3.0",
                                           "1.3.0-rc.1", "1.2", "1.0.2+build.5", "1.0.0-rc1-dev"));

TEST(Spec, PolicyPinsTheVersion) {
  const json::Value value = spec_with("ociVersion", R"("1.0.2-dev")");
  EXPECT_ERROR(parse_spec(value, {.exactly = "1.0.2"}), Errc::InvalidSpec,
               HasSubstr("/ociVersion: the configuration allows only version \"1.0.2\""));
  EXPECT_OK(parse_spec(value, {.exactly = "1.0.2-dev"}));
}

TEST(Spec, ProcessAndRootMayBeAbsent) {
  const Spec spec = parsed(document(R"({"ociVersion":"1.0.2","process":null})"));
  EXPECT_FALSE(spec.process.has_value());
  EXPECT_FALSE(spec.root.has_value());
  EXPECT_ERROR(parse_spec(document("{}")), Errc::InvalidSpec, "/ociVersion: is missing");
  EXPECT_ERROR(parse_spec(document("[]")), Errc::InvalidSpec, "/: must be an object, is an array");
}

TEST(Spec, EngineHabitsAreUnderstood) {
  // containerd: wildcard numbers as -1; Go: null for nil slices; st_mode with its type bits.
  const Spec rules = parsed(spec_with("linux/resources/devices",
                                      R"([{"allow":true,"type":"c","major":136,"minor":-1}])"));
  EXPECT_EQ(rules.linux_->resources->devices[0].minor, std::nullopt);
  EXPECT_TRUE(parsed(spec_with("mounts", "null")).mounts.empty());
  const Spec device = parsed(spec_with(
      "linux/devices", R"([{"path":"/dev/x","type":"c","major":1,"minor":3,"fileMode":8630}])"));
  EXPECT_EQ(device.linux_->devices[0].file_mode, 0666u);
  // Deprecated relative destinations are relative to "/".
  EXPECT_EQ(parsed(spec_with("mounts", R"([{"destination":"tmp"}])")).mounts[0].destination,
            "/tmp");
  // Go writes the members of `vm` even when they are not set.
  const Spec vm = parsed(spec_with(
      "vm", R"({"hypervisor":{"path":""},"kernel":{"path":"/k"},"image":{"path":"","format":""},
                "hwconfig":{"vcpus":3}})"));
  EXPECT_FALSE(vm.vm->hypervisor.has_value());
  EXPECT_FALSE(vm.vm->image.has_value());
  EXPECT_EQ(vm.vm->hw_config->vcpus, 3u);
}

TEST(SpecUnknown, FieldsAreKeptAtTheirPlaces) {
  const json::Value value = document(R"({"ociVersion":"1.0.2","x-top":{"deep":[1,2]},
    "process":{"user":{"uid":0,"gid":0,"x":1},"args":["sh"],"cwd":"/","commandLine":"c"},
    "mounts":[{"destination":"/a"},{"destination":"/b","x-mount":true}],
    "linux":{"resources":{"x-res":0},"intelRdt":{"enableCMT":true}},
    "vm":{"kernel":{"path":"/k"},"hwConfig":{"vcpus":1,"irqs":[11]}}})");
  EXPECT_EQ(to_json(parsed(value)), value);
}

TEST(SpecUnknown, ChangedFieldsAreNotTakenBack) {
  Spec spec = parsed(document(R"({"ociVersion":"1.0.2","hostname":"old","keep":1,
    "annotations":{"a":"1","b":"2"},
    "mounts":[{"destination":"/a","x":"of a"},{"destination":"/b","x":"of b"}]})"));
  spec.hostname.clear();
  spec.annotations.erase("a");
  spec.mounts.erase(spec.mounts.begin());
  spec.mounts.push_back({"/c", "", "", {}, {}, {}});
  EXPECT_EQ(to_json(spec), document(R"({"ociVersion":"1.0.2","keep":1,"annotations":{"b":"2"},
    "mounts":[{"destination":"/b","x":"of b"},{"destination":"/c"}]})"));
}

TEST(DefaultSpec, IsValidAndMinimal) {
  const Spec spec = default_spec();
  const json::Value value = to_json(spec);
  EXPECT_EQ(to_json(parsed(value)), value);
  EXPECT_FALSE(spec.process->terminal);
  EXPECT_EQ(spec.process->capabilities->bounding.size(), 11u);
  EXPECT_EQ(spec.process->capabilities->permitted, spec.process->capabilities->bounding);
  EXPECT_TRUE(spec.process->capabilities->inheritable.empty());
  EXPECT_TRUE(spec.process->capabilities->ambient.empty());
  ASSERT_FALSE(spec.linux_->resources->devices.empty());
  EXPECT_FALSE(spec.linux_->resources->devices[0].allow) << "everything is denied first";
  for (NamespaceType type : {NamespaceType::pid, NamespaceType::network, NamespaceType::ipc,
                             NamespaceType::uts, NamespaceType::mount, NamespaceType::cgroup})
    EXPECT_NE(spec.linux_->find(type), nullptr) << namespace_name(type);
  EXPECT_EQ(spec.linux_->find(NamespaceType::user), nullptr);
}

/// The spec that an installed runtime writes must be read, and written without a loss.
class OtherRuntime : public ::testing::TestWithParam<const char*> {};

TEST_P(OtherRuntime, ItsSpecParses) {
  const std::string program = GetParam();
  if (std::system(("command -v " + program + " >/dev/null").c_str()) != 0)
    GTEST_SKIP() << "needs the program " << program;
  const std::filesystem::path dir =
      std::filesystem::path(::testing::TempDir()) / ("nexcage-spec-" + program);
  std::filesystem::remove_all(dir);
  std::filesystem::create_directories(dir);
  ASSERT_EQ(std::system(("cd '" + dir.string() + "' && " + program + " spec").c_str()), 0);
  std::stringstream text;
  text << std::ifstream(dir / "config.json").rdbuf();
  std::filesystem::remove_all(dir);
  const json::Value value = document(text.str());
  const Spec spec = parsed(value);
  EXPECT_THAT(spec.process->args, ElementsAre("sh"));
  EXPECT_EQ(spec.mounts.size(), 7u);
  const Spec again = parsed(to_json(spec));
  EXPECT_EQ(to_json(again), to_json(spec));
}

INSTANTIATE_TEST_SUITE_P(Installed, OtherRuntime, ::testing::Values("runc", "crun"));

TEST(DefaultSpec, RootlessMapsOneUserAndKeepsTheHostsNetwork) {
  const Spec spec = default_rootless_spec(1000, 1001);
  ASSERT_OK(parse_spec(to_json(spec)));
  EXPECT_EQ(spec.linux_->find(NamespaceType::network), nullptr);
  ASSERT_NE(spec.linux_->find(NamespaceType::user), nullptr);
  EXPECT_EQ(spec.linux_->uid_mappings.at(0), (IdMapping{0, 1000, 1}));
  EXPECT_EQ(spec.linux_->gid_mappings.at(0), (IdMapping{0, 1001, 1}));
  EXPECT_FALSE(spec.linux_->resources);
  for (const Mount& mount : spec.mounts) {
    EXPECT_EQ(mount.destination == "/sys", mount.source == "/sys") << "bound from the host";
    for (const std::string& option : mount.options)
      EXPECT_FALSE(option.starts_with("gid=")) << mount.destination;
  }
}

}  // namespace
}  // namespace nexcage::oci
