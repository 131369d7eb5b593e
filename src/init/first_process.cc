#include "nexcage/init/first_process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

#include "nexcage/init/channel.h"
#include "nexcage/init/context.h"

namespace nexcage::init {
namespace {

/// liblxc blocks signals for its own use, and a caller may have ignored some: the container begins
/// with none of that (signal(7): ignored ones and the mask survive execve).
void reset_signals() {
  for (int signal = 1; signal < NSIG; ++signal) (void)::signal(signal, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  (void)::sigprocmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace

int run_first_process(int channel) {
  // Processes of the container that share its pid namespace must not be able to trace or read us.
  (void)::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  reset_signals();
  ::umask(0);
  Context context;
  context.channel.reset(channel);
  (void)::fcntl(channel, F_SETFD, FD_CLOEXEC);
  if (!send_hello(channel)) return 1;
  if (auto received = receive_plan(context); !received) {
    report(channel, received.error(), -1);
    return 1;
  }
  int index = 0;
  for (const sys::plan::Operation& operation : context.plan.operations) {
    auto done = std::visit([&](const auto& op) { return apply(op, context); }, operation);
    if (!done) {
      report(context.channel.get(), done.error(), index);
      return 1;
    }
    ++index;
  }
  report(context.channel.get(), execute(context), -1);
  return 1;
}

}  // namespace nexcage::init
