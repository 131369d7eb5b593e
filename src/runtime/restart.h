// A container made from an image runs again after it has ended: `start`. The command that the user
// called holds the container and starts a monitor; the monitor calls `nexcage create --again`,
// which takes the former run away and goes through phases 3 to 9 once more (create_again); then the
// first command lets it execute its process. docs/adr/0019-stopped-containers-start-again.md
#pragma once

#include <string>

#include "nexcage/backends/backend.h"
#include "nexcage/base/error.h"
#include "nexcage/runtime/phases.h"
#include "nexcage/runtime/request.h"
#include "nexcage/runtime/runtime.h"
#include "nexcage/runtime/undo.h"

namespace nexcage::runtime {

/// `start` makes it run again: it was made from an image and has ended.
bool can_start_again(const backends::Record& record, const Settings& settings);

/// InvalidState unless it has ended, was made from an image, and what it wrote is whole.
Result<> check_can_start_again(const backends::Record& record, const Settings& settings);

/// A stopped container, held by the command that starts it: no other does meanwhile. Dropped before
/// start() has succeeded, or when this process dies, it is a stopped container again.
class StoppedContainer {
 public:
  /// InvalidState unless can_start_again, in this boot, and nobody else does. What conmon still
  /// writes of the former run is waited for.
  static Result<StoppedContainer> hold(const std::string& id, const Services& services);
  /// Id, pid file, what the monitor has to know; as it was when the container was made.
  const Request& request() const { return request_; }
  const std::string& bundle() const { return bundle_; }
  bool terminal() const { return terminal_; }
  /// When a monitor has had it made again. Runs poststart hooks.
  Result<> start(Services& services);

 private:
  StoppedContainer(FileUndoLog log, Request request, const backends::Record& record)
      : log_(std::move(log)),
        request_(std::move(request)),
        bundle_(record.state.bundle),
        terminal_(record.terminal) {}
  FileUndoLog log_;
  Request request_;
  std::string bundle_;
  bool terminal_;
};

/// The value that phase 2 had when the container was made, for a container that has ended and is
/// held by another process. Its former run is gone; what it wrote stays whatever becomes of the
/// value. `request` is that of this command and gets the first one's options.
Result<Resolved> load_stopped(Request& request, Services& with);

/// Name of the undo log that hold() makes.
std::string start_log(const std::string& id);

}  // namespace nexcage::runtime
