// Tar archives: every member that is given keeps its promises, and every refusal says where.
#include "nexcage/image/content/tar_reader.h"

#include <algorithm>

#include "harness.h"

namespace nexcage::fuzz {
namespace {

using image::content::TarEntry;
using image::content::TarLimits;
using image::content::TarReader;
using image::content::TarType;

constexpr TarLimits kLimits = {
    .max_pax = 4096, .max_path = 300, .max_segments = 64, .max_entries = 1000};

bool has_nul(const std::string& text) { return text.find('\0') != std::string::npos; }

void check_entry(const TarEntry& entry) {
  check(!entry.name.empty() && entry.name.size() <= kLimits.max_path, "a name of a good length");
  check(!has_nul(entry.name) && !has_nul(entry.link_name), "no NUL in names");
  const bool link = entry.type == TarType::hard_link || entry.type == TarType::symlink;
  check(link != entry.link_name.empty(), "links, and only they, have a target");
  check(entry.type == TarType::regular || entry.size == 0, "only files have a size");
  check(entry.mode <= 07777, "a mode has no type bits");
  check(entry.mtime.tv_nsec >= 0 && entry.mtime.tv_nsec < 1'000'000'000, "a normal time");
  std::uint64_t end = 0;
  for (const auto& segment : entry.segments) {
    check(segment.length > 0 && segment.offset >= end, "segments ascend");
    end = segment.offset + segment.length;
    check(end <= entry.size, "segments lie in the file");
  }
}

/// Data comes in order and inside the file. False after an error.
bool check_data(TarReader& reader, const TarEntry& entry) {
  std::uint64_t end = 0, sum = 0;
  while (true) {
    const auto data = reader.read_data();
    if (!data) return false;
    if (!*data) break;
    check(!(*data)->bytes.empty() && (*data)->offset >= end, "data comes in order");
    end = (*data)->offset + (*data)->bytes.size();
    sum += (*data)->bytes.size();
    check(end <= entry.size, "data lies in the file");
  }
  check(entry.sparse || sum == entry.size, "all data of a plain file comes");
  return true;
}

}  // namespace

NX_HARNESS(tar_reader) {
  image::content::MemorySource source(std::as_bytes(std::span(data, size)));
  TarReader reader(source, kLimits);
  // Data of every other member is skipped instead of read.
  for (bool read = true;; read = !read) {
    const auto entry = reader.next();
    if (!entry) {
      check(entry.error().code() == Errc::InvalidImage, "the code is InvalidImage");
      check(entry.error().message().starts_with("tar at byte "), "a refusal says where");
      check_message(entry.error());
      return 0;
    }
    if (!*entry) return 0;
    check_entry(**entry);
    if (read && !check_data(reader, **entry)) return 0;
  }
}

}  // namespace nexcage::fuzz
