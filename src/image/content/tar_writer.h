// Writes tar archives of plain files: POSIX.1-2001 pax(1), where ustar's fields do not suffice with
// an extended header. The same files give the same bytes: owner 0:0, mode 0644, time 0.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/image/content/stream.h"

namespace nexcage::image::content {

/// Everything that a member's header says; `name` as it is to stand in the archive.
struct TarHead {
  std::string name;
  char type = '0';  // of ustar: '0' file, '1' hard link, '2' symlink, '5' directory, '6' FIFO
  std::uint64_t size = 0;
  std::uint32_t mode = 0644, uid = 0, gid = 0;
  std::int64_t mtime = 0;  // seconds
  std::string link_name{};
  std::vector<std::pair<std::string, std::string>> xattrs{};  // as SCHILY.xattr records
};
/// The header, with an extended one before it where a field needs it. Pure.
std::string tar_head(const TarHead& entry);

/// What stands before a member's data: a header, with an extended one before it where name or size
/// need it. `type` is the type flag. Pure.
std::string tar_member_header(const std::string& name, char type, std::uint64_t size);

/// Writes to a descriptor (borrowed) that need not be seekable. After an error the archive is of no
/// use.
class TarWriter {
 public:
  explicit TarWriter(int fd) : fd_(fd) {}
  Result<> add_directory(const std::string& name);
  Result<> add_text(const std::string& name, std::string_view data);
  /// Reads exactly `size` bytes, then to the source's end: InvalidImage when that is not one point.
  Result<> add_file(const std::string& name, std::uint64_t size, ByteSource& data);
  /// The end marker; call it once.
  Result<> finish();
  std::uint64_t bytes() const { return bytes_; }

 private:
  Result<> put(std::string_view bytes);
  Result<> pad();
  int fd_;
  std::uint64_t bytes_ = 0;
};

}  // namespace nexcage::image::content
