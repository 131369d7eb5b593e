#include "nexcage/image/content/tar_reader.h"

#include <algorithm>

#include "nexcage/base/text.h"
#include "nexcage/image/content/tar_header.h"
#include "nexcage/image/content/tar_input.h"
#include "nexcage/image/content/tar_pax.h"
#include "nexcage/image/content/tar_sparse.h"

namespace nexcage::image::content {

namespace {

std::uint64_t padding_of(std::uint64_t size) { return (kTarBlock - size % kTarBlock) % kTarBlock; }

/// nullopt for a flag that names no kind of file we know.
std::optional<TarType> member_type(const TarHeader& header) {
  switch (header.type) {
    case '\0':  // V7 marked directories by the name alone
      return header.name.ends_with('/') ? TarType::directory : TarType::regular;
    case '0':
    case '7':  // "contiguous": a regular file everywhere
    case 'S':
      return TarType::regular;
    case '1':
      return TarType::hard_link;
    case '2':
      return TarType::symlink;
    case '3':
      return TarType::char_device;
    case '4':
      return TarType::block_device;
    case '5':
      return TarType::directory;
    case '6':
      return TarType::fifo;
    default:
      return std::nullopt;
  }
}

/// What extended headers say of the member that follows them.
struct Pending {
  PaxRecords pax;
  std::optional<std::string> long_name, long_link;
  std::optional<std::uint64_t> at;  // of the first one
};

}  // namespace

struct TarReader::State {
  State(ByteSource& source, const TarLimits& tar_limits) : input(source), limits(tar_limits) {}

  Result<std::optional<TarBlock>> header_block();
  Result<bool> take_extension(const TarHeader& header, Pending& pending);
  Result<std::string> extension_text(const TarHeader& header, std::size_t cap,
                                     const std::string& what);
  Result<TarEntry> make_entry(const TarHeader& header, const TarBlock& block, Pending pending,
                              std::uint64_t offset);
  Result<> set_data(const TarHeader& header, const TarBlock& block, const PaxRecords& pax,
                    TarEntry& entry);
  Result<> check_names(const TarEntry& entry) const;

  TarInput input;
  TarLimits limits;
  bool ended = false;
  std::uint64_t entries = 0;
  // Of the current member: what is left of its data in the archive, and where the next goes.
  std::uint64_t stored_left = 0;
  std::uint64_t padding = 0;
  std::vector<TarSegment> segments;
  std::size_t segment = 0;
  std::uint64_t segment_done = 0;
};

TarReader::TarReader(ByteSource& source, const TarLimits& limits)
    : state_(std::make_unique<State>(source, limits)) {}
TarReader::~TarReader() = default;

std::uint64_t TarReader::offset() const { return state_->input.offset(); }

/// The next header, or nullopt at the end of the archive.
Result<std::optional<TarBlock>> TarReader::State::header_block() {
  NX_TRY(auto block, input.block());
  if (!block || !is_zero_block(*block)) return block;
  NX_TRY(auto second, input.block());
  if (second && !is_zero_block(*second))
    return tar_error(input.offset() - kTarBlock, "a lone zero block before more members");
  return std::nullopt;
}

Result<std::string> TarReader::State::extension_text(const TarHeader& header, std::size_t cap,
                                                     const std::string& what) {
  if (header.size > cap)
    return tar_error(input.offset(), what + " of " + std::to_string(header.size) +
                                         " bytes; at most " + std::to_string(cap));
  NX_TRY(std::string text, input.text(static_cast<std::size_t>(header.size)));
  NX_CHECK(input.skip(padding_of(header.size)));
  return text;
}

/// True when the header was an extension and was taken in.
Result<bool> TarReader::State::take_extension(const TarHeader& header, Pending& pending) {
  std::uint64_t at = input.offset();
  switch (header.type) {
    case 'x': {
      NX_TRY(std::string data, extension_text(header, limits.max_pax, "an extended header"));
      // A second one replaces the first, as in Go's archive/tar; so memory stays bounded.
      NX_TRY(pending.pax, parse_pax(data, at));
      return true;
    }
    case 'g': {
      NX_TRY(std::string data, extension_text(header, limits.max_pax, "a global header"));
      NX_CHECK(parse_pax(data, at));
      return true;
    }
    case 'L': {
      // The stored text ends with a NUL, which does not count as a byte of the name.
      NX_TRY(std::string data, extension_text(header, limits.max_path + 1, "a long name"));
      pending.long_name = tar_string(data);
      return true;
    }
    case 'K': {
      NX_TRY(std::string data, extension_text(header, limits.max_path + 1, "a long link target"));
      pending.long_link = tar_string(data);
      return true;
    }
    default:
      return false;
  }
}

Result<std::optional<TarEntry>> TarReader::next() {
  State& s = *state_;
  if (s.ended) return std::nullopt;
  NX_CHECK(s.input.skip(std::exchange(s.stored_left, 0)));
  NX_CHECK(s.input.skip(std::exchange(s.padding, 0)));
  s.segments.clear();

  Pending pending;
  while (true) {
    std::uint64_t at = s.input.offset();
    NX_TRY(auto block, s.header_block());
    if (!block) {
      if (pending.at) return tar_error(*pending.at, "an extended header without a member");
      s.ended = true;
      return std::nullopt;
    }
    NX_TRY(TarHeader header, parse_tar_header(*block, at));
    if (++s.entries > s.limits.max_entries)
      return tar_error(at, "more than " + std::to_string(s.limits.max_entries) + " members");
    NX_TRY(bool extension, s.take_extension(header, pending));
    if (extension) {
      if (header.type != 'g' && !pending.at) pending.at = at;
      continue;
    }
    NX_TRY(TarEntry entry, s.make_entry(header, *block, std::move(pending), at));
    return entry;
  }
}

Result<TarEntry> TarReader::State::make_entry(const TarHeader& header, const TarBlock& block,
                                              Pending pending, std::uint64_t at) {
  auto type = member_type(header);
  if (!type)
    return tar_error(at, "member " + quote(header.name) + " has the unknown type " +
                             quote(std::string_view(&header.type, 1)));
  TarEntry entry;
  entry.type = *type;
  entry.header_offset = at;
  entry.name = std::move(pending.long_name).value_or(header.name);
  entry.link_name = std::move(pending.long_link).value_or(header.link_name);
  entry.mode = header.mode;
  entry.uid = header.uid;
  entry.gid = header.gid;
  entry.size = header.size;
  entry.mtime.tv_sec = header.mtime;
  if (header.atime) entry.atime = timespec{.tv_sec = *header.atime, .tv_nsec = 0};
  entry.dev_major = header.dev_major;
  entry.dev_minor = header.dev_minor;
  NX_CHECK(apply_pax(pending.pax, entry));
  if (entry.type == TarType::regular) {
    NX_CHECK(set_data(header, block, pending.pax, entry));
  } else {
    entry.size = 0;  // such members have no data whatever the field says (as in Go's archive/tar)
  }
  if (entry.type != TarType::hard_link && entry.type != TarType::symlink) entry.link_name.clear();
  NX_CHECK(check_names(entry));
  entry.data_offset = input.offset();
  return entry;
}

Result<> TarReader::State::set_data(const TarHeader& header, const TarBlock& block,
                                    const PaxRecords& pax, TarEntry& entry) {
  stored_left = entry.size;
  padding = padding_of(entry.size);
  if (header.type == 'S') {
    NX_CHECK(read_old_gnu_sparse(block, input, limits, entry));
  } else {
    NX_TRY(std::uint64_t map, read_pax_sparse(pax, input, stored_left, limits, entry));
    stored_left -= map;
  }
  if (entry.sparse) {
    NX_CHECK(check_sparse(entry, stored_left));
    segments = entry.segments;
  } else if (entry.size > 0) {
    segments = {{.offset = 0, .length = entry.size}};
  }
  segment = 0;
  segment_done = 0;
  return {};
}

Result<> TarReader::State::check_names(const TarEntry& entry) const {
  if (entry.name.empty()) return tar_error(entry.header_offset, "a member without a name");
  bool link = entry.type == TarType::hard_link || entry.type == TarType::symlink;
  if (link && entry.link_name.empty())
    return tar_error(entry.header_offset, "link " + quote(entry.name) + " without a target");
  if (entry.name.size() > limits.max_path || entry.link_name.size() > limits.max_path)
    return tar_error(entry.header_offset, "a name or link target of more than " +
                                              std::to_string(limits.max_path) + " bytes");
  return {};
}

Result<std::optional<TarReader::Data>> TarReader::read_data() {
  State& s = *state_;
  if (s.segment == s.segments.size()) return std::nullopt;
  const TarSegment& current = s.segments[s.segment];
  NX_TRY(auto bytes, s.input.run(current.length - s.segment_done));
  Data data{.offset = current.offset + s.segment_done, .bytes = bytes};
  s.stored_left -= bytes.size();
  s.segment_done += bytes.size();
  if (s.segment_done == current.length) {
    ++s.segment;
    s.segment_done = 0;
  }
  return data;
}

}  // namespace nexcage::image::content
