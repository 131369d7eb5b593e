// conmon as the parent of a detached container (`run -d`): it holds the terminal or the pipes,
// writes the log and the exit code, and lives as long as the container.
//
// In the container's bundle:
//   ctr.log          what the container wrote, in conmon's k8s-file format
//   create.log       JSON log of the inner `nexcage create`, read for its error
//   conmon.pid       pid of conmon
//   exit/{id}        exit code in decimal, written when init has ended
//   exit/.lock       held shared by `wait` so that an automatic removal lets it read the code
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/runtime/settings.h"
#include "nexcage/sys/fs.h"

namespace nexcage::runtime {

/// What conmon is told.
struct MonitorJob {
  std::string id;
  std::string bundle;
  std::string pid_file;
  std::string program;                    // this nexcage, absolute path
  std::vector<std::string> program_args;  // its options before the verb
  std::vector<std::string> create_args;   // options after `create`
  std::vector<std::string> exit_args;     // arguments of `program` when the container has ended
  bool terminal = false;
  bool keep_stdin = false;  // give the container a pipe as standard input instead of /dev/null
};

/// conmon's command line for this job: pure, for tests. `conmon` is its path.
std::vector<std::string> conmon_command(const MonitorJob& job, const std::string& conmon);

/// Starts conmon and waits until the inner create has come to "created" or has failed. Returns the
/// pid of the container's init. The inner error comes back as it was (code, errno, frames, hint);
/// RuntimeNotAvailable when there is no conmon. Nothing of conmon is left after a failure.
Result<pid_t> start_monitor(const MonitorJob& job, const Settings& settings);

/// Path of conmon, of which `configured` is a name or the path. RuntimeNotAvailable when there is
/// none.
Result<std::string> find_conmon(const std::string& configured);

/// Waits until the conmon of a container that has ended has written everything and ended. Timeout
/// when it does not. Nothing to wait for is success.
Result<> await_monitor(const std::string& bundle,
                       std::chrono::milliseconds timeout = std::chrono::seconds(10));

/// Reads the last error record of a JSON log (base/log.h) back; nullopt when there is none. Pure.
std::optional<Error> error_from_log(std::string_view text);

/// {bundle}/ctr.log
std::string log_file(const std::string& bundle);
/// Where the exit code of a container is kept.
class ExitRecord {
 public:
  /// Opens {bundle}/exit. nullopt when the container has none: nobody watches over its exit.
  static Result<std::optional<ExitRecord>> open(const std::string& bundle, const std::string& id);
  /// Makes {bundle}/exit for a container whose parent will write the code.
  static Result<ExitRecord> create(const std::string& bundle, const std::string& id);
  /// nullopt while the container runs.
  Result<std::optional<int>> read() const;
  /// Waits until the code is there, for a container that has ended already. Timeout otherwise.
  Result<int> read_soon(std::chrono::milliseconds timeout) const;
  /// Removes the code: the container is to run again.
  Result<> forget() const;
  /// What the parent writes, atomically.
  Result<> write(int code) const;
  /// Keeps an automatic removal from taking the record away while the lock is held.
  Result<sys::FileLock> hold() const;
  /// What the automatic removal waits for; gives up after `timeout`.
  void wait_for_readers(std::chrono::milliseconds timeout) const;

 private:
  ExitRecord(UniqueFd directory, std::string id)
      : directory_(std::move(directory)), id_(std::move(id)) {}
  UniqueFd directory_;
  std::string id_;
};

}  // namespace nexcage::runtime
