// Where the files of an image source lie: a directory, or a tar archive.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "nexcage/base/error.h"
#include "nexcage/image/content/stream.h"
#include "nexcage/image/layout.h"

namespace nexcage::image::content {

/// Regular files by relative path. What they say is not to be trusted.
class Files {
 public:
  Files() = default;
  Files(const Files&) = delete;
  Files& operator=(const Files&) = delete;
  virtual ~Files() = default;
  virtual bool has(const std::string& path) const = 0;
  /// InvalidImage when there is no such regular file. The source must not outlive this.
  virtual Result<std::unique_ptr<ByteSource>> open(const std::string& path) const = 0;
};

/// A directory; symlinks in it are resolved inside it.
Result<std::shared_ptr<Files>> open_directory(const std::string& path);

/// A tar file, indexed by one pass over its headers. A gzip or zstd archive is inflated into the
/// store's temporary directory first. Links between members are followed.
Result<std::shared_ptr<Files>> open_archive(const std::string& path, const Layout& layout);

/// The same from a descriptor (borrowed) that need not be seekable: a pipe's bytes go to the
/// store's temporary directory first.
Result<std::shared_ptr<Files>> open_archive_stream(int fd, const Layout& layout);

/// A whole small file. InvalidImage when it is larger than `max_bytes`.
Result<std::string> read_text(const Files& files, const std::string& path,
                              std::size_t max_bytes = json::Limits{}.max_bytes);
/// The same, parsed as JSON. InvalidImage with the file's name and the place of the error.
Result<json::Value> read_json(const Files& files, const std::string& path);

/// A file of the user's, opened for reading. ImageNotFound when it does not exist; FileError when
/// it is no regular file.
Result<UniqueFd> open_source_file(const std::string& path);

}  // namespace nexcage::image::content
