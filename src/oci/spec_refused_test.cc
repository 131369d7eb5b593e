// One row per rule: what is refused, and the JSON pointer in the message.
#include "nexcage/oci/spec_testing.h"
#include "result_matchers.h"

namespace nexcage::oci {
namespace {

struct Row {
  const char* path;
  const char* value;
  const char* message;
};

class RefusedSpec : public ::testing::TestWithParam<Row> {};

TEST_P(RefusedSpec, NamesTheField) {
  const Row& row = GetParam();
  const json::Value spec = spec_with(row.path, row.value);
  ASSERT_NE(spec.if_object(), nullptr) << row.value;
  EXPECT_ERROR(parse_spec(spec), Errc::InvalidSpec, ::testing::StartsWith(row.message));
}

INSTANTIATE_TEST_SUITE_P(
    Top, RefusedSpec,
    ::testing::Values(
        Row{"ociVersion", "null", "/ociVersion: is missing"},
        Row{"ociVersion", "1", "/ociVersion: must be a string, is a number"},
        Row{"ociVersion", R"("")", "/ociVersion: must be a version"},
        Row{"ociVersion", R"("0.9.0")", "/ociVersion: versions 1.0 to 1.3"},
        Row{"ociVersion", R"("1.4.0")", "/ociVersion: versions 1.0 to 1.3"},
        Row{"ociVersion", R"("1.4.0-dev")", "/ociVersion: versions 1.0 to 1.3"},
        Row{"ociVersion", R"("2.0.0")", "/ociVersion: versions 1.0 to 1.3"},
        Row{"ociVersion", R"("1")", "/ociVersion: must be a version"},
        Row{"ociVersion", R"("1.0.2.1")", "/ociVersion: must be a version"},
        Row{"ociVersion", R"("1.00.2")", "/ociVersion: must be a version"},
        Row{"ociVersion", R"("1.0.2-")", "/ociVersion: must be a version"},
        Row{"ociVersion", R"("1.0.2 ")", "/ociVersion: must be a version"},
        Row{"ociVersion", R"("v1.0.2")", "/ociVersion: must be a version"},
        Row{"root", "[]", "/root: must be an object, is an array"},
        Row{"root/path", "null", "/root/path: is missing"},
        Row{"root/path", R"("")", "/root/path: must not be empty"},
        Row{"root/path", R"("a\nb")", "/root/path: must not hold control characters"},
        Row{"root/path", R"("a\u0000b")", "/root/path: must not hold NUL"},
        Row{"root/readonly", R"("yes")", "/root/readonly: must be true or false, is a string"},
        Row{"hostname", R"("a\u001bb")", "/hostname: must not hold control characters"},
        Row{"hostname", R"("0123456789012345678901234567890123456789012345678901234567890123456")",
            "/hostname: must have at most 64 bytes"},
        Row{"domainname", R"("a\nb")", "/domainname: must not hold control characters"},
        Row{"mounts", R"([{"type":"proc"}])", "/mounts/0/destination: is missing"},
        Row{"mounts", R"([{"destination":"/a"},{"destination":"/b\u007f"}])",
            "/mounts/1/destination: must not hold control"},
        Row{"mounts", R"([{"destination":"/a","options":["ro",1]}])",
            "/mounts/0/options/1: must be a string, is a number"},
        Row{"mounts",
            R"([{"destination":"/a","uidMappings":[{"containerID":0,"hostID":1,"size":1}]}])",
            "/mounts/0/uidMappings: uidMappings and gidMappings must be given together"},
        Row{"annotations", R"({"":"x"})", "/annotations/: name must not be empty"},
        Row{"annotations", R"({"a/b":1})", "/annotations/a~1b: must be a string"},
        Row{"annotations", R"({"a\nb":1})", "\"/annotations/a\\nb\": must be a string"},
        Row{"hooks", R"({"prestart":[{"path":"bin/x"}]})",
            "/hooks/prestart/0/path: must be an absolute path"},
        Row{"hooks", R"({"poststop":[{"path":"/x","timeout":0}]})",
            "/hooks/poststop/0/timeout: must be an integer from 1"},
        Row{"hooks", R"({"createRuntime":[{"path":"/x","env":["A"]}]})",
            "/hooks/createRuntime/0/env/0: must be NAME=value"}));

INSTANTIATE_TEST_SUITE_P(
    Process, RefusedSpec,
    ::testing::Values(
        Row{"process/args", "null", "/process/args: is missing"},
        Row{"process/args", "[]", "/process/args: must name the program"},
        Row{"process/args", R"([""])", "/process/args/0: must not be empty"},
        Row{"process/args", R"(["a","b\u0000c"])", "/process/args/1: must not hold NUL"},
        Row{"process/cwd", "null", "/process/cwd: is missing"},
        Row{"process/cwd", R"("tmp")", "/process/cwd: must be an absolute path, is \"tmp\""},
        Row{"process/env", R"(["A=1","B"])", "/process/env/1: must be NAME=value, has no '='"},
        Row{"process/env", R"(["=x"])", "/process/env/0: must be NAME=value, has no name"},
        Row{"process/env", R"(["A\nB=x"])", "/process/env/0: must not hold control characters"},
        Row{"process/env", R"(["A=x\u0000"])", "/process/env/0: must not hold NUL"},
        Row{"process/user", R"({"gid":0})", "/process/user/uid: is missing"},
        Row{"process/user/uid", "-1", "/process/user/uid: must be an integer from 0"},
        Row{"process/user/uid", "4294967295", "/process/user/uid: must be an integer from 0"},
        Row{"process/user/uid", "4294967296", "/process/user/uid: must be an integer from 0"},
        Row{"process/user/uid", "18446744073709551616", "/process/user/uid: must be an integer"},
        Row{"process/user/gid", "1.0", "/process/user/gid: must be an integer from 0"},
        Row{"process/user/gid", R"("0")", "/process/user/gid: must be an integer, is a string"},
        Row{"process/user/umask", "512", "/process/user/umask: must be an integer from 0 to 511"},
        Row{"process/user/additionalGids", "[1,4294967295]", "/process/user/additionalGids/1: "},
        Row{"process/capabilities", R"({"bounding":["KILL"]})",
            "/process/capabilities/bounding/0: must be a capability"},
        Row{"process/capabilities", R"({"ambient":["CAP_kill"]})",
            "/process/capabilities/ambient/0: must be a capability"},
        Row{"process/rlimits", R"([{"type":"RLIMIT_NOFILES","soft":1,"hard":1}])",
            "/process/rlimits/0/type: unknown value \"RLIMIT_NOFILES\"; did you mean "
            "RLIMIT_NOFILE?"},
        Row{"process/rlimits", R"([{"type":"RLIMIT_CPU","soft":2,"hard":1}])",
            "/process/rlimits/0/soft: must not exceed hard"},
        Row{"process/rlimits",
            R"([{"type":"RLIMIT_CPU","soft":1,"hard":1},{"type":"RLIMIT_CPU","soft":1,"hard":1}])",
            "/process/rlimits/1: a second limit of type RLIMIT_CPU"},
        Row{"process/oomScoreAdj", "1001", "/process/oomScoreAdj: must be an integer from -1000"},
        Row{"process/consoleSize", R"({"height":1})", "/process/consoleSize/width: is missing"},
        Row{"process/consoleSize", R"({"height":65536,"width":1})", "/process/consoleSize/height"},
        Row{"process/scheduler", R"({"policy":"SCHED_FAST"})", "/process/scheduler/policy: unkn"},
        Row{"process/scheduler", R"({"policy":"SCHED_RR","nice":20})", "/process/scheduler/nice"},
        Row{"process/ioPriority", R"({"class":"IOPRIO_CLASS_BE","priority":8})",
            "/process/ioPriority/priority: must be an integer from 0 to 7, is 8"},
        Row{"process/execCPUAffinity", R"({"initial":"3-1"})", "/process/execCPUAffinity/initial"},
        Row{"process/apparmorProfile", R"("a\nb")", "/process/apparmorProfile: must not hold"}));

INSTANTIATE_TEST_SUITE_P(
    Linux, RefusedSpec,
    ::testing::Values(
        Row{"linux/namespaces", R"([{"type":"pid"},{"type":"ipc"},{"type":"pid"}])",
            "/linux/namespaces/2: a second namespace of type pid"},
        Row{"linux/namespaces", R"([{"type":"net"}])", "/linux/namespaces/0/type: unknown value"},
        Row{"linux/namespaces", R"([{"type":"pid","path":"x"}])",
            "/linux/namespaces/0/path: must be an absolute path"},
        Row{"linux/uidMappings", R"([{"containerID":0,"hostID":0,"size":0}])",
            "/linux/uidMappings/0/size: must be an integer from 1"},
        Row{"linux/gidMappings", R"([{"containerID":1,"hostID":0,"size":4294967295}])",
            "/linux/gidMappings/0/size: the range ends above"},
        Row{"linux/devices", R"([{"path":"/dev/x","type":"x"}])", "/linux/devices/0/type: unknown"},
        Row{"linux/devices", R"([{"path":"/dev/x","type":"c","major":1}])",
            "/linux/devices/0/minor: is missing"},
        Row{"linux/devices", R"([{"path":"/dev/x","type":"c","major":4096,"minor":0}])",
            "/linux/devices/0/major: must be an integer from 0 to 4095"},
        Row{"linux/devices", R"([{"path":"dev/x","type":"p"}])",
            "/linux/devices/0/path: must be an absolute path"},
        Row{"linux/sysctl", R"({"net/../kernel/core_pattern":"x"})",
            "/linux/sysctl/net~1..~1kernel"},
        Row{"linux/sysctl", R"({".a":"x"})", "/linux/sysctl/.a: name must be a sysctl"},
        Row{"linux/cgroupsPath", R"("/a/../../b")", "/linux/cgroupsPath: must not hold '..'"},
        Row{"linux/rootfsPropagation", R"("both")", "/linux/rootfsPropagation: unknown value"},
        Row{"linux/maskedPaths", R"(["/a","b"])", "/linux/maskedPaths/1: must be an absolute"},
        Row{"linux/readonlyPaths", R"([""])", "/linux/readonlyPaths/0: must be an absolute"},
        Row{"linux/netDevices", R"({"a/b":{}})", "/linux/netDevices/a~1b: name must be an interf"},
        Row{"linux/netDevices", R"({"eth0":{"name":"0123456789abcdef"}})",
            "/linux/netDevices/eth0/name: must be an interface"},
        Row{"linux/intelRdt", R"({"closID":"../x"})", "/linux/intelRdt/closID: must be a dir"},
        Row{"linux/intelRdt", R"({"memBwSchema":"L3:0"})", "/linux/intelRdt/memBwSchema: must beg"},
        Row{"linux/memoryPolicy", R"({"mode":"MPOL_X"})", "/linux/memoryPolicy/mode: unknown"},
        Row{"linux/personality", R"({"domain":"BSD"})", "/linux/personality/domain: unknown"},
        Row{"linux/timeOffsets", R"({"realtime":{}})", "/linux/timeOffsets/realtime: name unknown"},
        Row{"linux/timeOffsets", R"({"boottime":{"nanosecs":1000000000}})",
            "/linux/timeOffsets/boottime/nanosecs: must be an integer from 0 to 999999999"},
        Row{"linux/seccomp", R"({})", "/linux/seccomp/defaultAction: is missing"},
        Row{"linux/seccomp", R"({"defaultAction":"SCMP_ACT_ALLOW","defaultErrnoRet":1})",
            "/linux/seccomp/defaultErrnoRet: action SCMP_ACT_ALLOW returns no errno"},
        Row{"linux/seccomp", R"({"defaultAction":"SCMP_ACT_ALLOW","architectures":["X86"]})",
            "/linux/seccomp/architectures/0: unknown value"},
        Row{"linux/seccomp", R"({"defaultAction":"SCMP_ACT_ALLOW","listenerMetadata":"x"})",
            "/linux/seccomp/listenerMetadata: must not be set without"},
        Row{"linux/seccomp",
            R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":[],"action":"SCMP_ACT_LOG"}]})",
            "/linux/seccomp/syscalls/0/names: must not be empty"},
        Row{"linux/seccomp",
            R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_LOG",
                "args":[{"index":6,"value":0,"op":"SCMP_CMP_EQ"}]}]})",
            "/linux/seccomp/syscalls/0/args/0/index: must be an integer from 0 to 5"}));

INSTANTIATE_TEST_SUITE_P(
    Resources, RefusedSpec,
    ::testing::Values(
        Row{"linux/resources/devices", R"([{"access":"rwm"}])",
            "/linux/resources/devices/0/allow: is missing"},
        Row{"linux/resources/devices", R"([{"allow":true,"access":"rwx"}])",
            "/linux/resources/devices/0/access: must be made of"},
        Row{"linux/resources/devices", R"([{"allow":true,"major":-2}])",
            "/linux/resources/devices/0/major: must be an integer from -1"},
        Row{"linux/resources/memory/limit", "-2", "/linux/resources/memory/limit: must be an int"},
        Row{"linux/resources/memory/limit", "9223372036854775808",
            "/linux/resources/memory/limit: must be an integer from"},
        Row{"linux/resources/memory/swappiness", "101", "/linux/resources/memory/swappiness: "},
        Row{"linux/resources/cpu/cpus", R"("0-")", "/linux/resources/cpu/cpus: must be a list"},
        Row{"linux/resources/cpu", R"({"quota":10,"burst":11})",
            "/linux/resources/cpu/burst: must not exceed quota"},
        Row{"linux/resources/cpu/idle", "2", "/linux/resources/cpu/idle: must be an integer"},
        Row{"linux/resources/pids/limit", R"("max")", "/linux/resources/pids/limit: must be an"},
        Row{"linux/resources/blockIO/weight", "65536", "/linux/resources/blockIO/weight: must be"},
        Row{"linux/resources/blockIO/weightDevice", R"([{"major":8,"minor":0}])",
            "/linux/resources/blockIO/weightDevice/0/weight: weight or leafWeight"},
        Row{"linux/resources/hugepageLimits", R"([{"pageSize":"2M","limit":1}])",
            "/linux/resources/hugepageLimits/0/pageSize: must be a page size"},
        Row{"linux/resources/rdma", R"({"mlx":{}})",
            "/linux/resources/rdma/mlx/hcaHandles: hcaHandles or hcaObjects"},
        Row{"linux/resources/unified", R"({"../x":"1"})",
            "/linux/resources/unified/..~1x: name must be a cgroup file"},
        Row{"linux/resources/network", R"({"priorities":[{"name":"","priority":1}]})",
            "/linux/resources/network/priorities/0/name: must be an interface"},
        Row{"vm", R"({})", "/vm/kernel: is missing"},
        Row{"vm", R"({"kernel":{"path":"vmlinuz"}})", "/vm/kernel/path: must be an absolute path"},
        Row{"vm", R"({"kernel":{"path":"/k"},"image":{"path":"/i","format":"iso"}})",
            "/vm/image/format: unknown value"}));

class OtherPlatform : public ::testing::TestWithParam<const char*> {};

TEST_P(OtherPlatform, IsUnsupported) {
  EXPECT_ERROR(parse_spec(spec_with(GetParam(), "{}")), Errc::Unsupported,
               ::testing::HasSubstr(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Sections, OtherPlatform,
                         ::testing::Values("solaris", "windows", "zos", "freebsd"));

TEST(RefusedSpecParts, PointersBeginAtTheGivenPlace) {
  EXPECT_ERROR(parse_process(document(R"({"cwd":"/"})"), "/process"), Errc::InvalidSpec,
               "/process/args: is missing");
  EXPECT_ERROR(parse_process(json::Value(1)), Errc::InvalidSpec,
               "/: must be an object, is a number");
  EXPECT_ERROR(parse_resources(document(R"({"pids":{"limit":-2}})")), Errc::InvalidSpec,
               ::testing::StartsWith("/pids/limit: "));
}

TEST(RefusedSpecParts, EnvironmentValuesAreNotRepeated) {
  const auto result = parse_spec(spec_with("process/env", R"(["SECRET"])"));
  ASSERT_FALSE(result.has_value());
  EXPECT_THAT(result.error().message(), ::testing::Not(::testing::HasSubstr("SECRET")));
}

}  // namespace
}  // namespace nexcage::oci
