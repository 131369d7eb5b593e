#include "nexcage/vm/host/accelerator.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

#include "nexcage/base/log.h"
#include "nexcage/base/text.h"
#include "nexcage/json/value.h"
#include "nexcage/sys/fs.h"
#include "nexcage/vm/boot/kernel.h"
#include "nexcage/vm/host/machine.h"

namespace nexcage::vm::host {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kWordsTime(200);
constexpr const char* kFile = "accelerator.json";

/// Path, size and time of change of a file: it is another one when one of them is another.
std::string identity(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return path;
  return path + ":" + std::to_string(info.st_size) + ":" + std::to_string(info.st_mtim.tv_sec);
}

/// Of this boot of the host: answers from before it are forgotten.
std::string boot_of_host() {
  const auto boot = sys::read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64);
  return boot ? std::string(trim(*boot)) : std::string();
}

/// All that a trial boots.
std::string key_of(const AcceleratorJob& job) {
  std::string out(qemu::board_name(job.launch.machine.board));
  for (const std::string& path : {job.launch.machine.kernel, job.launch.qemu, job.initrd, job.init})
    out += " " + identity(path);
  return out;
}

/// What was found out since the host's boot: an object of "kvm" or "tcg" by key.
json::Object answers_of(const AcceleratorJob& job) {
  const auto text = sys::read_file(AT_FDCWD, job.remembered + "/" + kFile);
  const auto value = text ? json::parse(*text) : Result<json::Value>(json::Value());
  const json::Value* answers =
      value && value->text("boot") == boot_of_host() ? value->find("answers") : nullptr;
  return answers != nullptr && answers->if_object() != nullptr ? *answers->if_object()
                                                               : json::Object();
}

/// Whoever writes at the same time may take it away again: then the same is found out once more.
Result<> remember(const AcceleratorJob& job, const std::string& key, std::string_view answer) {
  NX_CHECK(sys::mkdirs(job.remembered, 0700));
  json::Object answers = answers_of(job);
  answers.set(key, answer);
  json::Object out;
  out.set("boot", boot_of_host());
  out.set("answers", json::Value(std::move(answers)));
  return sys::write_file_atomic(job.remembered + "/" + kFile,
                                json::dump(json::Value(std::move(out))), 0600, sys::Durable::no);
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
Result<qemu::Accelerator> find_out(const AcceleratorJob& job, const std::string& key) {
  log::info("trying whether " + job.launch.machine.kernel + " boots with KVM");
  NX_TRY(const Trial trial, boot_with_kvm(job), "try KVM");
  const auto answer =
      trial.outcome == Outcome::spoke ? qemu::Accelerator::kvm : qemu::Accelerator::tcg;
  if (answer == qemu::Accelerator::tcg)
    log::warning("accelerator tcg: " + job.launch.machine.kernel + " does not boot with " +
                 job.device + ": " + trial.words);
  if (trial.outcome == Outcome::silent) return answer;
  if (const auto kept = remember(job, key, qemu::accelerator_name(answer)); !kept)
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
  const std::string key = key_of(job);
  const std::string answer = answers_of(job).text(key);
  if (answer.empty()) return find_out(job, key);
  log::debug("accelerator " + answer + ": the kernel was tried with KVM on this host");
  return answer == "kvm" ? qemu::Accelerator::kvm : qemu::Accelerator::tcg;
}

}  // namespace nexcage::vm::host
