#include "nexcage/sys/device_rules.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <ranges>

#include "nexcage/sys/fs.h"

namespace nexcage::sys {
namespace {

constexpr std::uint8_t kResult = BPF_REG_0, kContext = BPF_REG_1, kType = BPF_REG_2,
                       kAccess = BPF_REG_3, kMajor = BPF_REG_4, kMinor = BPF_REG_5,
                       kWork = BPF_REG_6;
constexpr std::int32_t kAllAccess = BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;

bpf_insn instruction(unsigned code, std::uint8_t to, std::uint8_t from, std::int32_t value,
                     std::size_t offset = 0) {
  bpf_insn out{};
  out.code = static_cast<std::uint8_t>(code);
  out.dst_reg = to & 0xfu;
  out.src_reg = from & 0xfu;
  out.off = static_cast<std::int16_t>(offset);
  out.imm = value;
  return out;
}

bpf_insn load(std::uint8_t to, std::size_t offset) {
  return instruction(BPF_LDX | BPF_MEM | BPF_W, to, kContext, 0, offset);
}

std::int32_t access_bits(const std::string& words) {
  std::int32_t bits = 0;
  for (const char word : words)
    bits |= word == 'r'   ? BPF_DEVCG_ACC_READ
            : word == 'w' ? BPF_DEVCG_ACC_WRITE
                          : BPF_DEVCG_ACC_MKNOD;
  return bits;
}

/// The tests of one rule; every jump is to be sent behind its verdict.
std::vector<bpf_insn> tests_of(const DeviceRule& rule) {
  std::vector<bpf_insn> out;
  if (rule.type != 'a')
    out.push_back(instruction(BPF_JMP | BPF_JNE | BPF_K, kType, 0,
                              rule.type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR));
  const std::int32_t bits = access_bits(rule.access);
  if (bits != kAllAccess) {
    out.push_back(instruction(BPF_ALU64 | BPF_MOV | BPF_X, kWork, kAccess, 0));
    out.push_back(instruction(BPF_ALU64 | BPF_AND | BPF_K, kWork, 0, bits));
    // To be allowed all of the access must be, to be denied a part of it is enough.
    out.push_back(rule.allow ? instruction(BPF_JMP | BPF_JNE | BPF_X, kWork, kAccess, 0)
                             : instruction(BPF_JMP | BPF_JEQ | BPF_K, kWork, 0, 0));
  }
  auto number = [&out](std::uint8_t reg, const std::optional<std::int64_t>& wanted) {
    if (wanted && *wanted >= 0)
      out.push_back(
          instruction(BPF_JMP | BPF_JNE | BPF_K, reg, 0, static_cast<std::int32_t>(*wanted)));
  };
  number(kMajor, rule.major);
  number(kMinor, rule.minor);
  return out;
}

void append_rule(const DeviceRule& rule, std::vector<bpf_insn>& program) {
  std::vector<bpf_insn> code = tests_of(rule);
  code.push_back(instruction(BPF_ALU64 | BPF_MOV | BPF_K, kResult, 0, rule.allow ? 1 : 0));
  code.push_back(instruction(BPF_JMP | BPF_EXIT, 0, 0, 0));
  std::size_t behind = code.size();
  for (bpf_insn& one : code) {
    --behind;
    const unsigned operation = one.code & 0xf0u;
    const bool jump =
        (one.code & 0x07u) == BPF_JMP && (operation == BPF_JNE || operation == BPF_JEQ);
    if (jump) one.off = static_cast<std::int16_t>(behind);
  }
  program.insert(program.end(), code.begin(), code.end());
}

std::uint64_t address_of(const void* data) { return reinterpret_cast<std::uintptr_t>(data); }

Result<UniqueFd> load_program(const std::string& program) {
  static constexpr char kLicense[] = "Apache-2.0";
  bpf_attr attributes{};
  attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  attributes.insns = address_of(program.data());
  attributes.insn_cnt = static_cast<std::uint32_t>(program.size() / sizeof(bpf_insn));
  attributes.license = address_of(static_cast<const char*>(kLicense));
  UniqueFd fd(static_cast<int>(::syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof attributes)));
  if (!fd) return fail_errno("load the device program");
  return fd;
}

}  // namespace

std::string to_text(const DeviceRule& rule) {
  auto number = [](const std::optional<std::int64_t>& value) {
    return value && *value >= 0 ? std::to_string(*value) : "*";
  };
  return std::string(1, rule.type) + " " + number(rule.major) + ":" + number(rule.minor) + " " +
         rule.access;
}

std::string compile_device_rules(const std::vector<DeviceRule>& rules) {
  // struct bpf_cgroup_dev_ctx: access_type holds the access above the type.
  std::vector<bpf_insn> program = {
      load(kType, offsetof(bpf_cgroup_dev_ctx, access_type)),
      load(kMajor, offsetof(bpf_cgroup_dev_ctx, major)),
      load(kMinor, offsetof(bpf_cgroup_dev_ctx, minor)),
      instruction(BPF_ALU64 | BPF_MOV | BPF_X, kAccess, kType, 0),
      instruction(BPF_ALU64 | BPF_RSH | BPF_K, kAccess, 0, 16),
      instruction(BPF_ALU64 | BPF_AND | BPF_K, kType, 0, 0xffff),
  };
  for (const DeviceRule& rule : std::views::reverse(rules)) {
    append_rule(rule, program);
    // The kernel refuses code that is never reached.
    if (tests_of(rule).empty())
      return {reinterpret_cast<const char*>(program.data()), program.size() * sizeof(bpf_insn)};
  }
  append_rule({.allow = true, .type = 'a', .major = {}, .minor = {}, .access = "rwm"}, program);
  return {reinterpret_cast<const char*>(program.data()), program.size() * sizeof(bpf_insn)};
}

Result<> attach_device_program(const std::string& cgroup_dir, const std::string& program) {
  NX_TRY(const UniqueFd dir, open_at(AT_FDCWD, cgroup_dir, O_RDONLY | O_DIRECTORY));
  NX_TRY(const UniqueFd loaded, load_program(program));
  bpf_attr attributes{};
  attributes.target_fd = static_cast<std::uint32_t>(dir.get());
  attributes.attach_bpf_fd = static_cast<std::uint32_t>(loaded.get());
  attributes.attach_type = BPF_CGROUP_DEVICE;
  attributes.attach_flags = BPF_F_ALLOW_MULTI;
  if (::syscall(SYS_bpf, BPF_PROG_ATTACH, &attributes, sizeof attributes) != 0)
    return fail_errno("attach the device program to " + cgroup_dir);
  return {};
}

Result<> apply_device_rules(const Cgroup& cgroup, const CgroupLayout& layout,
                            const std::vector<DeviceRule>& rules) {
  if (rules.empty()) return {};
  if (layout.with("devices") == nullptr) {
    const std::string dir = cgroup.dir("");
    if (dir.empty())
      return fail(Errc::Unsupported, "this host has no cgroup controller \"devices\"");
    return attach_device_program(dir, compile_device_rules(rules));
  }
  for (const DeviceRule& rule : rules)
    NX_CHECK(cgroup.write("devices", rule.allow ? "devices.allow" : "devices.deny", to_text(rule)));
  return {};
}

}  // namespace nexcage::sys
