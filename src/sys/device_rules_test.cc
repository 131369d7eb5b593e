#include "nexcage/sys/device_rules.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "nexcage/sys/fs.h"
#include "result_matchers.h"

namespace nexcage::sys {
namespace {

DeviceRule rule(bool allow, char type, std::optional<std::int64_t> major,
                std::optional<std::int64_t> minor, const char* access) {
  return {.allow = allow, .type = type, .major = major, .minor = minor, .access = access};
}

TEST(DeviceRules, AsText) {
  EXPECT_EQ(to_text(rule(true, 'c', 1, 3, "rwm")), "c 1:3 rwm");
  EXPECT_EQ(to_text(rule(false, 'a', {}, {}, "rwm")), "a *:* rwm");
  EXPECT_EQ(to_text(rule(true, 'b', 8, {}, "r")), "b 8:* r");
}

/// What the kernel would do with the program: enough of an interpreter for what is compiled.
int verdict(const std::string& program, std::uint32_t type, std::uint32_t access,
            std::uint32_t major, std::uint32_t minor) {
  std::vector<bpf_insn> code(program.size() / sizeof(bpf_insn));
  std::memcpy(code.data(), program.data(), program.size());
  std::uint64_t reg[11] = {};
  const std::uint32_t context[3] = {access << 16 | type, major, minor};
  for (std::size_t at = 0; at < code.size(); ++at) {
    const bpf_insn& one = code[at];
    const auto value = static_cast<std::uint64_t>(static_cast<std::int64_t>(one.imm));
    switch (one.code) {
      case BPF_LDX | BPF_MEM | BPF_W:
        reg[one.dst_reg] = context[one.off / 4];
        break;
      case BPF_ALU64 | BPF_MOV | BPF_X:
        reg[one.dst_reg] = reg[one.src_reg];
        break;
      case BPF_ALU64 | BPF_MOV | BPF_K:
        reg[one.dst_reg] = value;
        break;
      case BPF_ALU64 | BPF_RSH | BPF_K:
        reg[one.dst_reg] >>= value;
        break;
      case BPF_ALU64 | BPF_AND | BPF_K:
        reg[one.dst_reg] &= value;
        break;
      case BPF_JMP | BPF_JNE | BPF_K:
        at += reg[one.dst_reg] != value ? one.off : 0;
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
        at += reg[one.dst_reg] == value ? one.off : 0;
        break;
      case BPF_JMP | BPF_JNE | BPF_X:
        at += reg[one.dst_reg] != reg[one.src_reg] ? one.off : 0;
        break;
      case BPF_JMP | BPF_EXIT:
        return static_cast<int>(reg[0]);
      default:
        return -1;
    }
  }
  return -2;  // ran off the end
}

constexpr std::uint32_t kBlock = BPF_DEVCG_DEV_BLOCK, kChar = BPF_DEVCG_DEV_CHAR,
                        kRead = BPF_DEVCG_ACC_READ, kWrite = BPF_DEVCG_ACC_WRITE,
                        kMknod = BPF_DEVCG_ACC_MKNOD;

TEST(DeviceRules, TheLastRuleThatSpeaksDecides) {
  const std::string program =
      compile_device_rules({rule(false, 'a', {}, {}, "rwm"), rule(true, 'c', 1, 3, "rwm"),
                            rule(true, 'b', 8, {}, "r"), rule(true, 'c', {}, {}, "m")});
  EXPECT_EQ(verdict(program, kChar, kRead | kWrite, 1, 3), 1);
  EXPECT_EQ(verdict(program, kChar, kRead, 1, 5), 0);
  EXPECT_EQ(verdict(program, kChar, kMknod, 1, 5), 1);
  EXPECT_EQ(verdict(program, kBlock, kRead, 8, 17), 1);
  EXPECT_EQ(verdict(program, kBlock, kRead | kWrite, 8, 17), 0) << "only a part is allowed";
  EXPECT_EQ(verdict(program, kBlock, kMknod, 1, 5), 0);
}

TEST(DeviceRules, WithoutADenyingRuleAllIsAllowed) {
  EXPECT_EQ(verdict(compile_device_rules({}), kChar, kRead, 1, 3), 1);
  const std::string program = compile_device_rules({rule(false, 'b', 8, 0, "w")});
  EXPECT_EQ(verdict(program, kBlock, kRead, 8, 0), 1);
  EXPECT_EQ(verdict(program, kBlock, kRead | kWrite, 8, 0), 0) << "a part is denied";
  EXPECT_EQ(verdict(program, kBlock, kWrite, 8, 1), 1);
}

TEST(DeviceRules, WhatFollowsARuleForAllIsAllThereIs) {
  const std::string program =
      compile_device_rules({rule(true, 'c', 1, 3, "rwm"), rule(false, 'a', {}, {}, "rwm")});
  EXPECT_EQ(verdict(program, kChar, kRead, 1, 3), 0);
}

/// errno of opening the device from within the cgroup, 0 when it can be.
int open_from(const std::string& cgroup, const char* device) {
  const pid_t child = ::fork();
  if (child == 0) {
    const UniqueFd procs(::open((cgroup + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
    if (::write(procs.get(), "0", 1) != 1) ::_exit(255);
    ::_exit(::open(device, O_RDONLY | O_CLOEXEC) >= 0 ? 0 : errno);
  }
  int status = 0;
  (void)::waitpid(child, &status, 0);
  return WEXITSTATUS(status);
}

TEST(DeviceRules, TheKernelObeysTheProgram) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: a cgroup";
  auto layout = detect_cgroups();
  ASSERT_OK(layout);
  const CgroupHierarchy* v2 = layout->with("");
  if (v2 == nullptr) GTEST_SKIP() << "no cgroup version 2 here";
  const std::string dir = v2->mount_point + "/nxdevices" + std::to_string(::getpid());
  ASSERT_EQ(::mkdir(dir.c_str(), 0755), 0);
  auto attached = attach_device_program(
      dir, compile_device_rules({rule(false, 'a', {}, {}, "rwm"), rule(true, 'c', 1, 3, "rwm")}));
  const int null = attached ? open_from(dir, "/dev/null") : 0;
  const int zero = attached ? open_from(dir, "/dev/zero") : 0;
  EXPECT_EQ(::rmdir(dir.c_str()), 0);
  if (!attached && attached.error().sys_errno() == EPERM)
    GTEST_SKIP() << "BPF programs are not allowed here";
  ASSERT_OK(attached);
  EXPECT_EQ(null, 0);
  EXPECT_EQ(zero, EPERM);
}

}  // namespace
}  // namespace nexcage::sys
