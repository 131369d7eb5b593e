#include "nexcage/storage/raw/tool.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <string_view>

#include "nexcage/base/text.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/sys/fs.h"

namespace nexcage::storage::raw {
namespace {

constexpr std::chrono::milliseconds kNoLimit{-1};

/// What cp, mke2fs and the kernel's errno say about a full file system.
bool says_full(std::string_view line) {
  constexpr std::array<std::string_view, 3> kWords = {
      "No space left on device", "Could not allocate block", "Could not allocate inode"};
  return std::ranges::any_of(kWords,
                             [line](std::string_view words) { return line.contains(words); });
}

/// The line that says why: the first about a full file system, else the last.
std::string reason(const sys::Output& output) {
  std::string last;
  for (const std::string& text : {output.out, output.err})
    for (const std::string& line : split(text, '\n')) {
      if (says_full(line)) return std::string(trim(line));
      if (!trim(line).empty()) last = trim(line);
    }
  return last.empty() ? "exit status " + std::to_string(sys::exit_code(output.status)) : last;
}

/// A program that outlives us writes to a file: a pipe without a reader would end it.
Result<sys::Output> run_alone(sys::Command command, std::string_view input) {
  NX_TRY(const UniqueFd said, sys::memory_file("output"));
  command.fds.emplace_back(said.get(), STDOUT_FILENO);
  command.fds.emplace_back(said.get(), STDERR_FILENO);
  NX_TRY(sys::Output output, sys::run(command, input, kNoLimit));
  if (::lseek(said.get(), 0, SEEK_SET) < 0) return fail_errno("rewind");
  NX_TRY(output.err, sys::read_all(said.get()));
  return output;
}

Result<sys::Output> run_to_end(const Tool& tool) {
  sys::Command command;
  NX_TRY(command.program, sys::find_system_program(tool.argv.front()));
  command.argv = tool.argv;
  command.env = tool.env;
  command.env.emplace_back("LC_ALL=C");
  const char* path = std::getenv("PATH");
  if (path != nullptr) command.env.push_back(std::string("PATH=") + path);
  command.cwd = tool.cwd;
  command.fds = tool.fds;
  if (tool.parent_dies == Tool::ParentDies::go_on) return run_alone(std::move(command), tool.input);
  command.die_with_parent = true;
  return sys::run(command, tool.input, kNoLimit);
}

}  // namespace

Result<sys::Output> run_tool(const Tool& tool) {
  NX_TRY(sys::Output output, run_to_end(tool));
  const std::string& name = tool.argv.front();
  const int code = sys::exit_code(output.status);
  if ((code & ~tool.accepted) == 0) return output;
  const std::string why = reason(output);
  if (says_full(why)) return fail(Error::from_errno(Errc::FileError, ENOSPC, name + ": " + why));
  return fail(Errc::FileError, name + ": " + why);
}

}  // namespace nexcage::storage::raw
