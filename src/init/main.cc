// The first process of an LXC container, and of every process that is executed in one: receives a
// plan over the inherited socket (its number is the only argument), applies it, executes the user's
// program. As the first process of a virtual machine: the agent. Static; knows no JSON and takes no
// decision.
#include <unistd.h>

#include <cstdlib>
#include <string_view>

#include "nexcage/base/text.h"
#include "nexcage/init/agent/agent.h"
#include "nexcage/init/first_process.h"

namespace {

/// The name under which the kernel starts what an initramfs holds. liblxc's containers are started
/// under another, and have an argument.
constexpr std::string_view kKernelsName = "/init";

}  // namespace

int main(int argc, char** argv) {
  if (argc > 0 && argv[0] == kKernelsName && ::getpid() == 1) nexcage::init::agent::run();
  constexpr std::uint64_t kMaxDescriptor = 1u << 20;
  const std::uint64_t channel =
      argc == 2 ? nexcage::parse_u64(argv[1]).value_or(kMaxDescriptor) : kMaxDescriptor;
  if (channel >= kMaxDescriptor) return 2;
  return nexcage::init::run_first_process(static_cast<int>(channel));
}
