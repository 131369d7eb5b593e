// `process` of config.json, also on its own for exec.
#include <array>

#include "nexcage/base/text.h"
#include "nexcage/oci/spec_fields.h"

namespace nexcage::oci {
namespace {

using Word = std::string_view;

constexpr std::array<Word, 16> kRlimits = {
    "RLIMIT_AS",     "RLIMIT_CORE",   "RLIMIT_CPU",        "RLIMIT_DATA",
    "RLIMIT_FSIZE",  "RLIMIT_LOCKS",  "RLIMIT_MEMLOCK",    "RLIMIT_MSGQUEUE",
    "RLIMIT_NICE",   "RLIMIT_NOFILE", "RLIMIT_NPROC",      "RLIMIT_RSS",
    "RLIMIT_RTPRIO", "RLIMIT_RTTIME", "RLIMIT_SIGPENDING", "RLIMIT_STACK"};
constexpr std::array<Word, 3> kIoClasses = {"IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE",
                                            "IOPRIO_CLASS_IDLE"};
constexpr std::array<Word, 7> kPolicies = {"SCHED_OTHER",   "SCHED_FIFO", "SCHED_RR",
                                           "SCHED_BATCH",   "SCHED_ISO",  "SCHED_IDLE",
                                           "SCHED_DEADLINE"};
constexpr std::array<Word, 7> kSchedulerFlags = {
    "SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_RECLAIM",     "SCHED_FLAG_DL_OVERRUN",
    "SCHED_FLAG_KEEP_POLICY",   "SCHED_FLAG_KEEP_PARAMS", "SCHED_FLAG_UTIL_CLAMP_MIN",
    "SCHED_FLAG_UTIL_CLAMP_MAX"};

/// The form only: a capability that this machine does not know must not fail the container
/// (config.md, "Linux Process"); the backend warns.
std::string capability(std::string_view text) {
  bool good = text.starts_with("CAP_") && text.size() > 4;
  for (char c : text) good = good && ((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_');
  return good ? "" : "must be a capability such as CAP_KILL, is " + quote(text);
}

}  // namespace

std::string cpu_list(std::string_view text) {
  if (text.empty()) return {};
  for (const std::string& range : split(text, ',')) {
    const std::size_t dash = range.find('-');
    const auto first = parse_u64(std::string_view(range).substr(0, dash));
    const auto last = dash == std::string::npos ? first : parse_u64(range.substr(dash + 1));
    if (!first || !last || *first > *last) return "must be a list such as 0-3,7, is " + quote(text);
  }
  return {};
}

static Result<> read(const Node& node, Box& out) {
  constexpr Range kTerminalSize{0, 65535};  // struct winsize holds unsigned shorts
  Fields fields(node);
  fields.required("height", out.height, kTerminalSize);
  fields.required("width", out.width, kTerminalSize);
  return std::move(fields).done();
}

static Result<> read(const Node& node, User& out) {
  Fields fields(node);
  fields.required("uid", out.uid, kId);
  fields.required("gid", out.gid, kId);
  fields.optional("umask", out.umask, Range{0, 0777});
  fields.optional("additionalGids", out.additional_gids, kId);
  fields.optional("username", out.username, printable);
  return std::move(fields).done();
}

static Result<> read(const Node& node, Capabilities& out) {
  Fields fields(node);
  fields.optional("bounding", out.bounding, capability);
  fields.optional("effective", out.effective, capability);
  fields.optional("inheritable", out.inheritable, capability);
  fields.optional("permitted", out.permitted, capability);
  fields.optional("ambient", out.ambient, capability);
  return std::move(fields).done();
}

static Result<> read(const Node& node, Rlimit& out) {
  Fields fields(node);
  fields.required("type", out.type, OneOf{kRlimits});
  fields.required("soft", out.soft);
  fields.required("hard", out.hard);
  // setrlimit(2) would refuse it with EINVAL, which says nothing.
  if (out.soft > out.hard) fields.refuse("soft", "must not exceed hard");
  return std::move(fields).done();
}

static Result<> read(const Node& node, Scheduler& out) {
  Fields fields(node);
  fields.required("policy", out.policy, OneOf{kPolicies});
  fields.optional("nice", out.nice, Range{-20, 19});
  fields.optional("priority", out.priority, Range{0, 99});
  fields.optional("flags", out.flags, OneOf{kSchedulerFlags});
  fields.optional("runtime", out.runtime);
  fields.optional("deadline", out.deadline);
  fields.optional("period", out.period);
  return std::move(fields).done();
}

static Result<> read(const Node& node, IoPriority& out) {
  Fields fields(node);
  fields.required("class", out.io_class, OneOf{kIoClasses});
  fields.required("priority", out.priority, Range{0, 7});
  return std::move(fields).done();
}

static Result<> read(const Node& node, CpuAffinity& out) {
  Fields fields(node);
  fields.optional("initial", out.initial, cpu_list);
  fields.optional("final", out.final, cpu_list);
  return std::move(fields).done();
}

static Result<> check_args(const Node& node, const Process& process) {
  const Node args = node.child("args", node.value());
  if (process.args.empty()) return args.refuse("must name the program to run");
  if (process.args.front().empty())
    return args.child(std::size_t{0}, node.value()).refuse("must not be empty");
  return {};
}

static Result<> check_rlimits(const Node& node, const Process& process) {
  std::unordered_set<std::string_view> seen;
  const Node rlimits = node.child("rlimits", node.value());
  for (std::size_t i = 0; i < process.rlimits.size(); ++i)
    if (!seen.insert(process.rlimits[i].type).second)
      return rlimits.child(i, node.value())
          .refuse("a second limit of type " + process.rlimits[i].type);
  return {};
}

Result<> read(const Node& node, Process& out) {
  Fields fields(node);
  fields.optional("terminal", out.terminal);
  fields.optional("consoleSize", out.console_size);
  fields.optional("user", out.user);
  fields.required("args", out.args);
  fields.optional("env", out.env, env_entry);
  fields.required("cwd", out.cwd, absolute_path);
  fields.optional("capabilities", out.capabilities);
  fields.optional("rlimits", out.rlimits);
  fields.optional("noNewPrivileges", out.no_new_privileges);
  fields.optional("apparmorProfile", out.apparmor_profile, printable);
  fields.optional("oomScoreAdj", out.oom_score_adj, Range{-1000, 1000});
  fields.optional("scheduler", out.scheduler);
  fields.optional("selinuxLabel", out.selinux_label, printable);
  fields.optional("ioPriority", out.io_priority);
  fields.optional("execCPUAffinity", out.exec_cpu_affinity);
  if (fields.good()) fields.check(check_args(node, out));
  if (fields.good()) fields.check(check_rlimits(node, out));
  return std::move(fields).done();
}

Result<Process> parse_process(const json::Value& value, std::string_view at) {
  Process process;
  NX_CHECK(read(Node(value, at, Errc::InvalidSpec), process));
  return process;
}

}  // namespace nexcage::oci
