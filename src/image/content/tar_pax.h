// PAX extended headers (pax(1), "pax Extended Header") and what their keywords change.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/image/content/tar_reader.h"

namespace nexcage::image::content {

/// Keyword and value in the order of the archive; keywords may repeat (GNU.sparse.offset does).
using PaxRecords = std::vector<std::pair<std::string, std::string>>;

/// Splits "LENGTH KEY=VALUE\n" records. `offset` is the data's place in the archive, for messages.
Result<PaxRecords> parse_pax(std::string_view data, std::uint64_t offset);

/// The last value of a keyword, or nullptr.
const std::string* find_pax(const PaxRecords& records, std::string_view keyword);

/// Lets the records override the entry's fields: path, linkpath, uid, gid, mtime, atime, size,
/// SCHILY.dev{major,minor}, SCHILY.xattr.*, LIBARCHIVE.xattr.*. An empty value leaves the header's
/// (as POSIX has it). Sparse keywords are tar_sparse.h's. Unknown keywords are ignored.
Result<> apply_pax(const PaxRecords& records, TarEntry& entry);

}  // namespace nexcage::image::content
