// `update --image` and `--rollback` of containers of this machine: another root file system for a
// container that keeps its name, network, mounts and settings.
// docs/adr/0023-updates-of-local-containers.md
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/runtime/exchange.h"
#include "nexcage/runtime/generations.h"
#include "nexcage/runtime/new_root.h"
#include "nexcage/runtime/runtime.h"
#include "nexcage/runtime/undo.h"

namespace nexcage::runtime {

/// A container held for an update by the command that the user called: no other changes it
/// meanwhile. Dropped, or its process killed, before exchange() has returned, the container is what
/// it was; afterwards it has the other root.
class RootUpdate {
 public:
  /// Makes the new root; a running container runs on. `image` empty: the image it was made from, as
  /// the store or its registry has it now. `keep`: so many earlier roots stay. Unsupported, with
  /// the reason, for containers from bundles and in virtual machines; InvalidState for one that
  /// another command holds, that goes when it ends (--rm), or has not been started yet; errors of
  /// make_root.
  static Result<RootUpdate> to_image(const std::string& id, const std::string& image, unsigned keep,
                                     Services& with);
  /// The root before the last update. InvalidState when none is kept; ImageNotFound when somebody
  /// has removed its image by force.
  static Result<RootUpdate> to_earlier(const std::string& id, Services& with);

  /// It is to be stopped before exchange(), and started afterwards.
  bool is_running() const { return running_; }
  /// The container, which has ended, gets the other root. After an error it has the old one.
  Result<> exchange(Services& with);
  /// It gets the old root back, because it did not start with the other one. It has ended.
  Result<> take_back(Services& with);
  /// The container runs with the other root, or is not to run: roots that are kept no longer are
  /// discarded. Before, each root it had is there. InvalidState while another command holds it.
  Result<> drop_surplus(const Services& with);
  /// What is discarded is removed. What fails here is left to the next command.
  Result<> finish();

 private:
  RootUpdate(std::string id, FileUndoLog whole, FileUndoLog log)
      : id_(std::move(id)), whole_(std::move(whole)), log_(std::move(log)) {}
  static Result<RootUpdate> hold(const std::string& id, Services& with);
  Result<> begin();
  Result<> end_former(Services& with);
  Result<std::vector<FileText>> present(const Settings& settings) const;
  Result<std::vector<FileText>> planned(Services& with);
  Result<> write(const std::vector<FileText>& before, const std::vector<FileText>& after);
  Result<> do_exchange(Services& with);

  std::string id_;
  FileUndoLog whole_;  // {id}@update: until the end, for what is discarded
  FileUndoLog log_;    // {id}: while the root is made and exchanged
  std::size_t begun_ = 0;
  bool running_ = false;
  std::string bundle_, state_dir_;
  Generations generations_;
  RootFiles files_;                  // of the other root
  std::optional<NewRoot> new_root_;  // mounted, until the exchange
  unsigned keep_ = 0;
  std::vector<FileText> before_;  // files as they were before the exchange
};

}  // namespace nexcage::runtime
