// Files of a container that change together. What they were is on disk until all are written: a
// command that dies between two of them, and a machine that goes down, leave a container that is
// taken back whole. docs/adr/0023-updates-of-local-containers.md
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/storage/volume.h"

namespace nexcage::runtime {

/// A file and what is, or shall be, in it; without a text it is not there.
struct FileText {
  std::string path;  // absolute
  mode_t mode = 0600;
  std::optional<std::string> text;
  bool operator==(const FileText&) const = default;
};

/// The file as it is now. The mode is that of `path`'s kind, given by the caller.
Result<FileText> read_file_text(const std::string& path, mode_t mode);

/// What a command has begun, and how to take it back.
struct Exchange {
  std::vector<FileText> before;           // comes back; files of directories that are gone do not
  std::optional<storage::Volume> volume;  // made for it: goes
  unsigned generation = 1;                // the volume's; what it has in the bundle goes, too
};

/// Writes {bundle}/exchange.json, durably; one that is there is replaced. From here on
/// undo_exchange() takes the exchange back.
Result<> begin_exchange(const std::string& bundle, const Exchange& exchange);
/// Writes the files, durably, in their order.
Result<> write_file_texts(const std::vector<FileText>& files);
/// Removes exchange.json, durably: everything stays as it is now.
Result<> commit_exchange(const std::string& bundle);
/// Everything is as it was. Success when nothing was begun.
Result<> undo_exchange(const std::string& bundle);

}  // namespace nexcage::runtime
