#include "nexcage/storage/zfs/call.h"

#include <unistd.h>

#include <chrono>
#include <utility>

#include "nexcage/base/log.h"
#include "nexcage/base/text.h"
#include "nexcage/storage/zfs/failure.h"
#include "nexcage/sys/process.h"

namespace nexcage::storage::zfs {
namespace {

// A change waits until the pool has written what came before it, which under load takes long.
constexpr std::chrono::minutes kPatience{5};
constexpr std::chrono::milliseconds kNoLimit{-1};
// A hundred thousand snapshots.
constexpr std::size_t kMaxAnswer = 64U << 20;
constexpr const char* kInstall =
    "Install the package zfsutils-linux, or name the program in [zfs] of the configuration.";

Result<sys::Command> command_for(const std::string& program,
                                 const std::vector<std::string>& arguments, Streams streams) {
  sys::Command command;
  NX_TRY(command.program, find_installed(program));
  command.argv = {program};
  command.argv.insert(command.argv.end(), arguments.begin(), arguments.end());
  // Nothing of the caller's: ZFS_COLOR and others change what the programs write.
  command.env = {"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  command.cwd = "/";
  command.die_with_parent = true;  // whoever finishes our work must not meet one still at it
  if (streams.input >= 0) command.fds.emplace_back(streams.input, 0);
  if (streams.output >= 0) command.fds.emplace_back(streams.output, 1);
  return command;
}

}  // namespace

Result<std::string> find_installed(const std::string& program) {
  auto path = sys::find_program(program);
  if (path && ::access(path->c_str(), X_OK) == 0) return path;
  return fail(Error(Errc::RuntimeNotAvailable, "there is no program " + program).hint(kInstall));
}

Result<std::string> call(const std::string& program, std::string attempted,
                         const std::vector<std::string>& arguments, Streams streams) {
  NX_TRY(const sys::Command command, command_for(program, arguments, streams), attempted);
  const bool streaming = streams.input >= 0 || streams.output >= 0;
  NX_TRY(sys::Output output, sys::run(command, "", streaming ? kNoLimit : kPatience, kMaxAnswer),
         attempted);
  const int code = sys::exit_code(output.status);
  if (code != 0) return fail(to_error(std::move(attempted), output.err, code));
  if (output.truncated)
    return fail(Errc::ZFSError, attempted + ": answers with more than " + format_bytes(kMaxAnswer));
  if (!output.err.empty()) log::debug(attempted + ": " + quote(trim(output.err)));
  return std::move(output.out);
}

}  // namespace nexcage::storage::zfs
