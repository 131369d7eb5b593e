#include "nexcage/vm/host/board.h"

#include <algorithm>
#include <chrono>

#include "nexcage/base/log.h"
#include "nexcage/base/text.h"
#include "nexcage/sys/process.h"
#include "nexcage/vm/host/answers.h"

namespace nexcage::vm::host {
namespace {

using qemu::Board;

constexpr std::chrono::seconds kListTime(10);

/// "NAME   description", one a line, below a heading.
Result<bool> lists(const std::string& qemu, Board board) {
  sys::Command command;
  command.argv = {qemu, "-machine", "help"};
  command.env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  command.cwd = "/";
  NX_TRY(const sys::Output output, sys::run(command, {}, kListTime));
  if (sys::exit_code(output.status) != 0)
    return fail(Errc::RuntimeError,
                "-machine help ended with status " + std::to_string(sys::exit_code(output.status)));
  const std::string name = std::string(qemu::board_name(board)) + " ";
  return std::ranges::any_of(split(output.out, '\n'),
                             [&](const std::string& line) { return line.starts_with(name); });
}

}  // namespace

Board choose_board(const BoardJob& job) {
  if (job.wanted != Board::microvm) return job.wanted;
  const Answers answers(job.remembered, "board.json");
  const std::string key = identity_of_file(job.qemu);
  std::string answer = answers.find(key);
  if (answer.empty()) {
    const auto has = lists(job.qemu, job.wanted);
    if (!has) {
      log::warning("which machines " + job.qemu + " has is not known: " + has.error().message());
      return job.wanted;
    }
    answer = qemu::board_name(*has ? job.wanted : Board::q35);
    if (!*has) log::warning("board q35: " + job.qemu + " has no microvm, which boots faster");
    if (const auto kept = answers.keep(key, answer); !kept)
      log::warning("which board to take has to be asked again: " + kept.error().message());
  }
  log::debug("board " + answer + ": from the list of " + job.qemu);
  return answer == qemu::board_name(job.wanted) ? job.wanted : Board::q35;
}

}  // namespace nexcage::vm::host
