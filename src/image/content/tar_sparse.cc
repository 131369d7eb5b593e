#include "nexcage/image/content/tar_sparse.h"

#include <optional>

#include "nexcage/base/text.h"
#include "nexcage/image/content/tar_header.h"

namespace nexcage::image::content {

namespace {

constexpr std::size_t kPair = 24;          // bytes of an old GNU pair: offset, length
constexpr std::size_t kHeaderMapAt = 386;  // four pairs, then isextended, then the real size
constexpr std::size_t kHeaderExtendedAt = 482;
constexpr std::size_t kRealSizeAt = 483;
constexpr std::size_t kExtensionExtendedAt = 504;  // after 21 pairs

std::unexpected<Error> bad_map(const TarEntry& entry, const std::string& why) {
  return tar_error(entry.header_offset, "sparse map of " + quote(entry.name) + ": " + why);
}

Result<> add_segment(std::int64_t offset, std::int64_t length, const TarLimits& limits,
                     TarEntry& entry) {
  if (offset < 0 || length < 0) return bad_map(entry, "negative number");
  if (entry.segments.size() >= limits.max_segments)
    return bad_map(entry, "more than " + std::to_string(limits.max_segments) + " segments");
  entry.segments.push_back(
      {.offset = static_cast<std::uint64_t>(offset), .length = static_cast<std::uint64_t>(length)});
  return {};
}

/// Pairs of one block from `at`; an empty pair ends them.
Result<> add_pairs(const TarBlock& block, std::size_t at, std::size_t count,
                   const TarLimits& limits, TarEntry& entry) {
  for (std::size_t i = 0; i < count; ++i, at += kPair) {
    if (tar_field(block, at, 1)[0] == '\0') return {};
    auto offset = parse_tar_number(tar_field(block, at, kPair / 2));
    auto length = parse_tar_number(tar_field(block, at + kPair / 2, kPair / 2));
    if (!offset || !length) return bad_map(entry, "not a number");
    NX_CHECK(add_segment(*offset, *length, limits, entry));
  }
  return {};
}

/// A decimal number of a PAX map.
std::optional<std::int64_t> parse_decimal(std::string_view text) {
  auto value = parse_u64(text);
  if (!value || *value > static_cast<std::uint64_t>(INT64_MAX)) return std::nullopt;
  return static_cast<std::int64_t>(*value);
}

Result<> add_decimal(std::string_view offset, std::string_view length, const TarLimits& limits,
                     TarEntry& entry) {
  auto from = parse_decimal(offset);
  auto count = parse_decimal(length);
  if (!from || !count) return bad_map(entry, "not a number");
  return add_segment(*from, *count, limits, entry);
}

/// 0.1: one record "offset,length,offset,length".
Result<> read_map_01(const std::string& map, const TarLimits& limits, TarEntry& entry) {
  if (map.empty()) return {};
  std::vector<std::string> numbers = split(map, ',');
  if (numbers.size() % 2 != 0) return bad_map(entry, "odd number of values");
  for (std::size_t i = 0; i < numbers.size(); i += 2)
    NX_CHECK(add_decimal(numbers[i], numbers[i + 1], limits, entry));
  return {};
}

/// 0.0: records GNU.sparse.offset and GNU.sparse.numbytes in turn.
Result<> read_map_00(const PaxRecords& records, const TarLimits& limits, TarEntry& entry) {
  const std::string* offset = nullptr;
  for (const auto& [keyword, value] : records) {
    if (keyword == "GNU.sparse.offset") {
      if (offset != nullptr) return bad_map(entry, "offset without a length");
      offset = &value;
    } else if (keyword == "GNU.sparse.numbytes") {
      if (offset == nullptr) return bad_map(entry, "length without an offset");
      NX_CHECK(add_decimal(*offset, value, limits, entry));
      offset = nullptr;
    }
  }
  if (offset != nullptr) return bad_map(entry, "offset without a length");
  return {};
}

/// The newline-separated numbers at the front of a 1.0 member's data, block by block.
class NumberLines {
 public:
  NumberLines(TarInput& input, std::uint64_t stored, const TarEntry& entry)
      : input_(input), stored_(stored), entry_(entry) {}

  Result<std::int64_t> next() {
    while (true) {
      auto newline = text_.find('\n', at_);
      if (newline != std::string::npos) {
        auto value = parse_decimal(std::string_view(text_).substr(at_, newline - at_));
        at_ = newline + 1;
        if (!value) return bad_map(entry_, "not a number");
        return *value;
      }
      text_.erase(0, at_);
      at_ = 0;
      if (text_.size() > 20) return bad_map(entry_, "a number is too long");
      if (taken_ + kTarBlock > stored_) return bad_map(entry_, "the member ends inside it");
      NX_TRY(std::string block, input_.text(kTarBlock));
      taken_ += kTarBlock;
      text_ += block;
    }
  }
  std::uint64_t taken() const { return taken_; }

 private:
  TarInput& input_;
  std::uint64_t stored_;
  const TarEntry& entry_;
  std::string text_;
  std::size_t at_ = 0;
  std::uint64_t taken_ = 0;
};

Result<std::uint64_t> read_map_10(TarInput& input, std::uint64_t stored, const TarLimits& limits,
                                  TarEntry& entry) {
  NumberLines lines(input, stored, entry);
  NX_TRY(std::int64_t count, lines.next());
  for (std::int64_t i = 0; i < count; ++i) {
    NX_TRY(std::int64_t offset, lines.next());
    NX_TRY(std::int64_t length, lines.next());
    NX_CHECK(add_segment(offset, length, limits, entry));
  }
  return lines.taken();
}

}  // namespace

Result<> read_old_gnu_sparse(const TarBlock& header, TarInput& input, const TarLimits& limits,
                             TarEntry& entry) {
  auto real_size = parse_tar_number(tar_field(header, kRealSizeAt, 12));
  if (!real_size || *real_size < 0) return bad_map(entry, "the file's size is no number");
  entry.sparse = true;
  entry.size = static_cast<std::uint64_t>(*real_size);
  NX_CHECK(add_pairs(header, kHeaderMapAt, 4, limits, entry));
  bool more = tar_field(header, kHeaderExtendedAt, 1)[0] != '\0';
  while (more) {
    NX_TRY(auto block, input.block());
    if (!block) return bad_map(entry, "the archive ends inside it");
    NX_CHECK(add_pairs(*block, 0, 21, limits, entry));
    more = tar_field(*block, kExtensionExtendedAt, 1)[0] != '\0';
  }
  return {};
}

Result<std::uint64_t> read_pax_sparse(const PaxRecords& records, TarInput& input,
                                      std::uint64_t stored, const TarLimits& limits,
                                      TarEntry& entry) {
  const std::string* major = find_pax(records, "GNU.sparse.major");
  const std::string* minor = find_pax(records, "GNU.sparse.minor");
  const std::string* map = find_pax(records, "GNU.sparse.map");
  const std::string* size = find_pax(records, "GNU.sparse.size");
  if (const std::string* real = find_pax(records, "GNU.sparse.realsize")) size = real;
  bool is_10 = major != nullptr && *major == "1" && minor != nullptr && *minor == "0";
  if (!is_10 && major != nullptr && *major != "0")
    return bad_map(entry, "version " + quote(*major) + " is not known");
  if (!is_10 && map == nullptr && find_pax(records, "GNU.sparse.numblocks") == nullptr) return 0;
  auto real_size = size != nullptr ? parse_decimal(*size) : std::nullopt;
  if (!real_size) return bad_map(entry, "the file's size is missing or no number");

  if (const std::string* name = find_pax(records, "GNU.sparse.name"); name && !name->empty()) {
    if (name->find('\0') != std::string::npos) return bad_map(entry, "the name has a NUL in it");
    entry.name = *name;
  }
  entry.sparse = true;
  entry.size = static_cast<std::uint64_t>(*real_size);
  if (is_10) return read_map_10(input, stored, limits, entry);
  if (map != nullptr) {
    NX_CHECK(read_map_01(*map, limits, entry));
  } else {
    NX_CHECK(read_map_00(records, limits, entry));
  }
  return 0;
}

Result<> check_sparse(TarEntry& entry, std::uint64_t stored) {
  std::uint64_t end = 0, sum = 0;
  for (const TarSegment& segment : entry.segments) {
    if (segment.offset < end || segment.offset > entry.size ||
        segment.length > entry.size - segment.offset)
      return bad_map(entry, "segments overlap or lie outside the file");
    end = segment.offset + segment.length;
    sum += segment.length;
  }
  if (sum != stored)
    return bad_map(entry, std::to_string(sum) + " bytes in segments, but " +
                              std::to_string(stored) + " stored");
  std::erase_if(entry.segments, [](const TarSegment& segment) { return segment.length == 0; });
  return {};
}

}  // namespace nexcage::image::content
