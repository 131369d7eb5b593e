#include "nexcage/image/content/tar_writer.h"

#include <cstdio>
#include <vector>

#include "nexcage/sys/fs.h"

namespace nexcage::image::content {

namespace {

constexpr std::size_t kBlock = 512;
constexpr std::size_t kRecord = 20 * kBlock;  // tar(1) writes whole records, some readers want them
constexpr std::size_t kNameField = 100;
constexpr std::int64_t kMaxOctalSize = (std::int64_t{1} << 33) - 1;  // eleven octal digits
constexpr std::int64_t kMaxOctalId = (1 << 21) - 1;                  // seven

void set_text(std::string& block, std::size_t at, std::string_view text) {
  block.replace(at, text.size(), text);
}

/// `width` bytes: octal digits and a NUL.
void set_number(std::string& block, std::size_t at, std::size_t width, std::uint64_t value) {
  for (std::size_t digit = at + width - 1; digit-- > at; value >>= 3)
    block[digit] = static_cast<char>('0' + (value & 7));
}

/// ustar (pax(1), "ustar Interchange Format"); the caller has seen that every field fits.
std::string ustar_block(const TarHead& entry) {
  std::string block(kBlock, '\0');
  set_text(block, 0, entry.name);
  set_number(block, 100, 8, entry.mode);
  set_number(block, 108, 8, entry.uid);
  set_number(block, 116, 8, entry.gid);
  set_number(block, 124, 12, entry.size);
  set_number(block, 136, 12, static_cast<std::uint64_t>(entry.mtime));
  block[156] = entry.type;
  set_text(block, 157, entry.link_name);
  set_text(block, 257,
           std::string_view("ustar\0"
                            "00",
                            8));
  set_number(block, 329, 8, 0);
  set_number(block, 337, 8, 0);
  set_text(block, 148, "        ");
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  set_number(block, 148, 7, sum);
  return block;
}

/// "LENGTH KEY=VALUE\n", the length counting itself.
std::string pax_record(std::string_view key, std::string_view value) {
  const std::string rest = " " + std::string(key) + "=" + std::string(value) + "\n";
  std::size_t length = rest.size() + 1;
  while (std::to_string(length).size() + rest.size() != length) ++length;
  return std::to_string(length) + rest;
}

std::string padded(std::string bytes) {
  bytes.resize((bytes.size() + kBlock - 1) / kBlock * kBlock, '\0');
  return bytes;
}

}  // namespace

std::string tar_head(const TarHead& entry) {
  TarHead plain = entry;
  std::string records;
  // What a field cannot hold, an extended header says; the field then holds what fits, or nothing.
  const auto move_text = [&](std::string_view key, std::string& text) {
    if (text.size() <= kNameField) return;
    records += pax_record(key, text);
    text.resize(kNameField);
  };
  const auto move_number = [&](std::string_view key, auto& number, std::int64_t most) {
    const auto value = static_cast<std::int64_t>(number);
    if (value >= 0 && value <= most) return;
    records += pax_record(key, std::to_string(value));
    number = 0;
  };
  move_text("path", plain.name);
  move_text("linkpath", plain.link_name);
  move_number("size", plain.size, kMaxOctalSize);
  move_number("uid", plain.uid, kMaxOctalId);
  move_number("gid", plain.gid, kMaxOctalId);
  move_number("mtime", plain.mtime, kMaxOctalSize);
  for (const auto& [name, value] : entry.xattrs)
    records += pax_record("SCHILY.xattr." + name, value);
  std::string out;
  if (!records.empty())
    out = ustar_block({.name = "PaxHeaders/extended", .type = 'x', .size = records.size()}) +
          padded(records);
  return out + ustar_block(plain);
}

std::string tar_member_header(const std::string& name, char type, std::uint64_t size) {
  return tar_head({.name = name, .type = type, .size = size, .mode = type == '5' ? 0755U : 0644U});
}

Result<> TarWriter::put(std::string_view bytes) {
  bytes_ += bytes.size();
  return sys::write_all(fd_, bytes);
}

Result<> TarWriter::pad() {
  const std::size_t over = bytes_ % kBlock;
  return over == 0 ? Result<>() : put(std::string(kBlock - over, '\0'));
}

Result<> TarWriter::add_directory(const std::string& name) {
  return put(tar_member_header(name.ends_with('/') ? name : name + "/", '5', 0));
}

Result<> TarWriter::add_text(const std::string& name, std::string_view data) {
  NX_CHECK(put(tar_member_header(name, '0', data.size())), name);
  NX_CHECK(put(data), name);
  return pad();
}

Result<> TarWriter::add_file(const std::string& name, std::uint64_t size, ByteSource& data) {
  NX_CHECK(put(tar_member_header(name, '0', size)), name);
  std::vector<std::byte> buffer(256u << 10);
  for (std::uint64_t left = size;;) {
    NX_TRY(const std::size_t n, data.read(buffer), name);
    if (n > left || (n == 0 && left > 0))
      return fail(Errc::InvalidImage, name + ": is not of " + std::to_string(size) + " bytes");
    if (n == 0) return pad();
    NX_CHECK(put({reinterpret_cast<const char*>(buffer.data()), n}), name);
    left -= n;
  }
}

Result<> TarWriter::finish() {
  NX_CHECK(put(std::string(2 * kBlock, '\0')));
  const std::size_t over = bytes_ % kRecord;
  return over == 0 ? Result<>() : put(std::string(kRecord - over, '\0'));
}

}  // namespace nexcage::image::content
