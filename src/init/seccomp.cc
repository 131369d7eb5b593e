// The seccomp filter. From the moment it is loaded every system call of this process may wait for
// an answer of whoever gets the notifications; so nothing is called here that could be the first of
// them, and another thread, which the filter does not bind, hands the descriptor over.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstring>

#include "nexcage/init/channel.h"
#include "nexcage/init/execute.h"

namespace nexcage::init {
namespace {

constexpr int kPending = -2;
constexpr int kNone = -1;

/// What the two threads share. It outlives both: execve ends them.
struct HandOver {
  int channel = -1;
  std::atomic<int> listener = kPending;
  std::atomic<bool> done = false;
};
HandOver g_hand_over;

void* hand_over(void*) {
  constexpr useconds_t kPause = 50;
  while (g_hand_over.listener == kPending) ::usleep(kPause);
  // A runtime that does not receive it fails `start` and ends this process.
  if (g_hand_over.listener != kNone)
    (void)send(g_hand_over.channel, sys::plan::MessageKind::listener, {}, g_hand_over.listener);
  g_hand_over.done = true;
  return nullptr;
}

Result<> start_thread(int channel) {
  g_hand_over.channel = channel;
  pthread_t thread{};
  const int error = ::pthread_create(&thread, nullptr, hand_over, nullptr);
  if (error != 0)
    return fail(Error::from_errno(Errc::LXCError, error, "start a thread for the listener"));
  (void)::pthread_detach(thread);
  return {};
}

/// Returns when the descriptor is on its way. Without a system call.
void hand_over_listener(int listener) {
  g_hand_over.listener = listener;
  while (!g_hand_over.done) {
  }
}

}  // namespace

Result<> load_seccomp(Context& context) {
  const sys::plan::Process& process = context.plan.process;
  const bool notifies = (process.seccomp_flags & SECCOMP_FILTER_FLAG_NEW_LISTENER) != 0;
  if (notifies) NX_CHECK(start_thread(context.channel.get()));
  if (process.no_new_privileges && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
    return fail_errno("set no_new_privs");
  if (process.seccomp.empty()) return {};
  std::vector<sock_filter> filter(process.seccomp.size() / sizeof(sock_filter));
  std::memcpy(filter.data(), process.seccomp.data(), filter.size() * sizeof(sock_filter));
  sock_fprog program{.len = static_cast<unsigned short>(filter.size()), .filter = filter.data()};
  const long loaded =
      ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, process.seccomp_flags, &program);
  if (loaded < 0) return fail_errno("load the seccomp filter");
  if (notifies) hand_over_listener(static_cast<int>(loaded));
  return {};
}

}  // namespace nexcage::init
