// What a child is started on: its stack, and the quiet that it is started in.
#pragma once

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <utility>

#include "nexcage/base/error.h"

namespace nexcage::sys {

/// The child's stack, with a page below it that must not be touched.
class Stack {
 public:
  static constexpr std::size_t kSize = 128u << 10;
  static Result<Stack> make() {
    void* base = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (base == MAP_FAILED) return fail_errno("make a stack for a child");
    Stack stack(base);
    if (::mprotect(base, static_cast<std::size_t>(::getpagesize()), PROT_NONE) != 0)
      return fail_errno("protect the stack of a child");
    return stack;
  }
  Stack(Stack&& other) noexcept : base_(std::exchange(other.base_, nullptr)) {}
  Stack& operator=(Stack&&) = delete;
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;
  ~Stack() {
    if (base_ != nullptr) (void)::munmap(base_, kSize);
  }
  void* base() const { return base_; }
  void* top() const { return static_cast<char*>(base_) + kSize; }

 private:
  explicit Stack(void* base) : base_(base) {}
  void* base_;
};

/// All signals blocked, those that libc keeps to itself too, for as long as this lives.
class BlockedSignals {
 public:
  BlockedSignals() {
    const std::uint64_t all = ~std::uint64_t{0};
    ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before_, sizeof before_);
  }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;
  ~BlockedSignals() {
    ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before_, nullptr, sizeof before_);
  }
  std::uint64_t before() const { return before_; }

 private:
  std::uint64_t before_ = 0;
};

}  // namespace nexcage::sys
