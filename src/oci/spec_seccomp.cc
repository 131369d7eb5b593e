// `linux.seccomp` of config.json.
#include <array>

#include "nexcage/oci/spec_fields.h"

namespace nexcage::oci {
namespace {

using Word = std::string_view;

constexpr std::array<Word, 9> kActions = {
    "SCMP_ACT_KILL",  "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_TRAP",  "SCMP_ACT_ERRNO",        "SCMP_ACT_TRACE",
    "SCMP_ACT_ALLOW", "SCMP_ACT_LOG",          "SCMP_ACT_NOTIFY"};
constexpr std::array<Word, 23> kArchitectures = {
    "SCMP_ARCH_X86",     "SCMP_ARCH_X86_64",   "SCMP_ARCH_X32",         "SCMP_ARCH_ARM",
    "SCMP_ARCH_AARCH64", "SCMP_ARCH_MIPS",     "SCMP_ARCH_MIPS64",      "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_MIPSEL",  "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_PPC",
    "SCMP_ARCH_PPC64",   "SCMP_ARCH_PPC64LE",  "SCMP_ARCH_S390",        "SCMP_ARCH_S390X",
    "SCMP_ARCH_PARISC",  "SCMP_ARCH_PARISC64", "SCMP_ARCH_RISCV64",     "SCMP_ARCH_LOONGARCH64",
    "SCMP_ARCH_M68K",    "SCMP_ARCH_SH",       "SCMP_ARCH_SHEB"};
constexpr std::array<Word, 4> kFlags = {"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG",
                                        "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
                                        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"};
constexpr std::array<Word, 7> kOperators = {"SCMP_CMP_NE",       "SCMP_CMP_LT", "SCMP_CMP_LE",
                                            "SCMP_CMP_EQ",       "SCMP_CMP_GE", "SCMP_CMP_GT",
                                            "SCMP_CMP_MASKED_EQ"};
constexpr Range kErrno{0, 65535};  // SECCOMP_RET_DATA holds 16 bits
constexpr Range kArgument{0, 5};   // a system call has six

std::string syscall_name(std::string_view text) {
  return text.empty() ? not_empty(text) : printable(text);
}

bool takes_errno(std::string_view action) {
  return action == "SCMP_ACT_ERRNO" || action == "SCMP_ACT_TRACE";
}

}  // namespace

static Result<> read(const Node& node, SeccompArg& out) {
  Fields fields(node);
  fields.required("index", out.index, kArgument);
  fields.required("value", out.value);
  fields.optional("valueTwo", out.value_two);
  fields.required("op", out.op, OneOf{kOperators});
  return std::move(fields).done();
}

static Result<> read(const Node& node, SeccompSyscall& out) {
  Fields fields(node);
  fields.required("names", out.names, syscall_name);
  if (fields.good() && out.names.empty()) fields.refuse("names", "must not be empty");
  fields.required("action", out.action, OneOf{kActions});
  fields.optional("errnoRet", out.errno_ret, kErrno);
  if (out.errno_ret && !takes_errno(out.action))
    fields.refuse("errnoRet", "action " + out.action + " returns no errno");
  fields.optional("args", out.args);
  return std::move(fields).done();
}

Result<> read(const Node& node, Seccomp& out) {
  Fields fields(node);
  fields.required("defaultAction", out.default_action, OneOf{kActions});
  fields.optional("defaultErrnoRet", out.default_errno_ret, kErrno);
  if (out.default_errno_ret && !takes_errno(out.default_action))
    fields.refuse("defaultErrnoRet", "action " + out.default_action + " returns no errno");
  fields.optional("architectures", out.architectures, OneOf{kArchitectures});
  fields.optional("flags", out.flags, OneOf{kFlags});
  fields.optional("listenerPath", out.listener_path, absolute_path_or_empty);
  fields.optional("listenerMetadata", out.listener_metadata);
  if (!out.listener_metadata.empty() && out.listener_path.empty())
    fields.refuse("listenerMetadata", "must not be set without listenerPath");
  fields.optional("syscalls", out.syscalls);
  return std::move(fields).done();
}

}  // namespace nexcage::oci
