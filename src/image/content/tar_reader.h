// A strict streaming tar reader: ustar, PAX (pax(1)), GNU long names and sparse files (GNU tar
// manual, "Basic Tar Format" and "Storing Sparse Files"), star's and libarchive's xattr keywords.
// It gives names and links as the archive has them; what is safe to create is the unpacker's
// business.
#pragma once

#include <time.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/image/content/stream.h"

namespace nexcage::image::content {

enum class TarType : std::uint8_t {
  regular,
  hard_link,
  symlink,
  char_device,
  block_device,
  directory,
  fifo,
};

/// A piece of a file that has data; all else of the file are holes.
struct TarSegment {
  std::uint64_t offset = 0;  // in the file
  std::uint64_t length = 0;
  bool operator==(const TarSegment&) const = default;
};

/// One member. Strings are bytes without NUL; everything else is as the archive says.
struct TarEntry {
  TarType type = TarType::regular;
  std::string name;        // never empty
  std::string link_name;   // target of hard_link (an archive name) and symlink (any text)
  std::uint32_t mode = 0;  // permission bits with set-id and sticky, 07777
  std::uint64_t uid = 0, gid = 0;
  std::uint64_t size = 0;  // of the file (holes included); 0 for all but regular
  timespec mtime{};        // may lie before 1970
  std::optional<timespec> atime;
  std::uint64_t dev_major = 0, dev_minor = 0;
  std::map<std::string, std::string> xattrs;  // "user.x", "security.capability", ... raw values
  bool sparse = false;               // `segments` holds; else the data is one run of `size` bytes
  std::vector<TarSegment> segments;  // ascending, not overlapping, within size
  std::uint64_t header_offset = 0;   // of the member's first block in the tar, for messages
  std::uint64_t data_offset = 0;     // of its first data byte in the tar
};

/// Caps; going over one is InvalidImage that names it.
struct TarLimits {
  std::size_t max_pax = 1u << 20;       // bytes of one extended header
  std::size_t max_path = 4096;          // bytes of a name or link target
  std::size_t max_segments = 1u << 20;  // of one sparse file
  std::uint64_t max_entries = 1u << 24;
};

/// Reads the members of a tar in order. All errors are InvalidImage "tar at byte N: ..." or those
/// of the source. Global PAX headers are checked and ignored, as Go's archive/tar (hence
/// containerd, Docker and umoci) does; unknown type flags are InvalidImage.
class TarReader {
 public:
  explicit TarReader(ByteSource& source, const TarLimits& limits = {});
  ~TarReader();
  TarReader(const TarReader&) = delete;
  TarReader& operator=(const TarReader&) = delete;

  /// The next member, data of the one before skipped; nullopt at the end of the archive (two zero
  /// blocks, or one at the very end of the source; an archive that just stops after a whole member
  /// is accepted, as all unpackers do). What follows is no member;
  /// the reader may have read some of it ahead from the source.
  Result<std::optional<TarEntry>> next();

  /// The next run of data of the current (regular) member, at most 256 KiB: where it belongs in the
  /// file and the bytes, valid until the next call on this reader. nullopt after the last.
  struct Data {
    std::uint64_t offset = 0;
    std::span<const std::byte> bytes;
  };
  Result<std::optional<Data>> read_data();

  /// Bytes of the tar read so far.
  std::uint64_t offset() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace nexcage::image::content
