// A stack of layers as one archive, for machines that make root file systems from archives. The
// work is done by libexec/nexcage/image (subcommand `flatten`): what strangers made is parsed
// there.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/json/value.h"
#include "nexcage/layerfs/layerfs.h"

namespace nexcage::layerfs {

struct FlattenJob {
  ConvertJob stack;  // form plain, no outputs; its tars may be removed afterwards
  /// To be created: a gzip-compressed tar with names that begin with "./". Empty: only `accounts`.
  std::string output;
  /// An empty directory: the image's etc/passwd, etc/group and etc/os-release go there, if they are
  /// regular files of at most 1 MiB.
  std::string accounts;
  struct Extra {
    std::string path;  // in the image, clean and relative; replaces what is there
    std::string file;  // whose content it gets; empty: `text`
    std::string text;
    std::string link;  // not empty: a symlink to this
    std::uint32_t mode = 0644;
  };
  std::vector<Extra> extras;
};

struct Flattened {
  std::string sha256;          // of the archive, in hexadecimal digits; empty without one
  std::uint64_t bytes = 0;     // of the archive
  std::uint64_t unpacked = 0;  // of the files in it
};

/// InvalidImage for layers that are none, or that hold device nodes outside /dev, which no
/// unprivileged container could unpack; FileError.
Result<Flattened> flatten(const std::string& libexec_dir, const FlattenJob& job);

json::Value to_json(const FlattenJob& job);
Result<FlattenJob> flatten_job_from_json(const json::Value& value);

}  // namespace nexcage::layerfs
