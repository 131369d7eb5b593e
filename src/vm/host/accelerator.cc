#include "nexcage/vm/host/accelerator.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

#include "nexcage/base/log.h"
#include "nexcage/base/text.h"
#include "nexcage/vm/boot/kernel.h"
#include "nexcage/vm/host/answers.h"
#include "nexcage/vm/host/machine.h"

namespace nexcage::vm::host {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kWordsTime(200);
constexpr const char* kFile = "accelerator.json";

/// All that a trial boots.
std::string key_of(const AcceleratorJob& job) {
  std::string out(qemu::board_name(job.launch.machine.board));
  for (const std::string& path : {job.launch.machine.kernel, job.launch.qemu, job.initrd, job.init})
    out += " " + identity_of_file(path);
  return out;
}

enum class Outcome : std::uint8_t { spoke, ended, silent };
struct Trial {
  Outcome outcome = Outcome::silent;
  std::string words{};  // of a machine that did not speak
};

/// What there is to say about a machine whose port was closed.
Trial ended(Machine& machine) {
  (void)sys::wait_exit(machine.pidfd(), kWordsTime);
  machine.read_output();
  machine.end(false);
  const auto how = machine.how_it_ended();
  return {.outcome = Outcome::ended, .words = how ? *how : how.error().message()};
}

/// Boots the kernel with KVM until its agent says its first byte.
Result<Trial> boot_with_kvm(const AcceleratorJob& job) {
  NX_TRY(const UniqueFd initrd, boot::assemble_initrd(job.initrd, job.init));
  Launch launch;
  launch.qemu = job.launch.qemu;
  launch.machine.name = "probe";
  launch.machine.accelerator = qemu::Accelerator::kvm;
  launch.machine.board = job.launch.machine.board;
  launch.machine.kernel = job.launch.machine.kernel;
  launch.machine.initrd = initrd.get();
  NX_TRY(Machine machine, Machine::start(launch));
  const UniqueFd port = machine.take_port();
  const auto until = Clock::now() + job.patience;
  while (Clock::now() < until) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
    pollfd entries[] = {{.fd = port.get(), .events = POLLIN, .revents = 0},
                        {.fd = machine.output(), .events = POLLIN, .revents = 0}};
    const int ready = ::poll(entries, 2, static_cast<int>(left.count()));
    if (ready < 0 && errno != EINTR) return fail_errno("wait for a machine");
    if (ready <= 0) continue;
    if (entries[1].revents != 0) machine.read_output();
    if (entries[0].revents == 0) continue;
    // The end of QEMU, which KVM may bring about, can be read, too: there is no byte then.
    char first = 0;
    if (::read(port.get(), &first, 1) != 1) return ended(machine);
    return Trial{.outcome = Outcome::spoke};
  }
  return Trial{.outcome = Outcome::silent,
               .words = "nothing came of it within " + std::to_string(job.patience.count()) +
                        " s; its console says: " + machine.last_words()};
}

/// Tries it, and keeps what is certain: a host that was busy may have been too slow only today.
Result<qemu::Accelerator> find_out(const AcceleratorJob& job, const Answers& answers) {
  log::info("trying whether " + job.launch.machine.kernel + " boots with KVM");
  NX_TRY(const Trial trial, boot_with_kvm(job), "try KVM");
  const auto answer =
      trial.outcome == Outcome::spoke ? qemu::Accelerator::kvm : qemu::Accelerator::tcg;
  if (answer == qemu::Accelerator::tcg)
    log::warning("accelerator tcg: " + job.launch.machine.kernel + " does not boot with " +
                 job.device + ": " + trial.words);
  if (trial.outcome == Outcome::silent) return answer;
  if (const auto kept = answers.keep(key_of(job), qemu::accelerator_name(answer)); !kept)
    log::warning("which accelerator to take has to be tried again: " + kept.error().message());
  return answer;
}

}  // namespace

Result<qemu::Accelerator> choose_accelerator(const AcceleratorJob& job) {
  if (job.wanted == "tcg") return qemu::Accelerator::tcg;
  if (job.wanted == "kvm") return qemu::Accelerator::kvm;
  if (job.wanted != "auto")
    return fail(Error(Errc::ConfigError, "vm.accelerator: unknown value " + quote(job.wanted))
                    .hint("One of: auto, kvm, tcg"));
  const UniqueFd device(::open(job.device.c_str(), O_RDWR | O_CLOEXEC));
  if (!device) {
    log::debug("accelerator tcg: no " + job.device);
    return qemu::Accelerator::tcg;
  }
  const Answers answers(job.remembered, kFile);
  const std::string answer = answers.find(key_of(job));
  if (answer.empty()) return find_out(job, answers);
  log::debug("accelerator " + answer + ": the kernel was tried with KVM on this host");
  return answer == "kvm" ? qemu::Accelerator::kvm : qemu::Accelerator::tcg;
}

}  // namespace nexcage::vm::host
