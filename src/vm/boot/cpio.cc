#include "nexcage/vm/boot/cpio.h"

#include <sys/stat.h>

#include <array>
#include <string_view>

namespace nexcage::vm::boot {
namespace {

void pad(std::string& out) { out.resize((out.size() + 3) & ~std::size_t{3}, '\0'); }

void append_hex(std::string& out, std::size_t number) {
  for (int shift = 28; shift >= 0; shift -= 4) out += "0123456789ABCDEF"[(number >> shift) & 0xf];
}

}  // namespace

void CpioWriter::entry(std::string_view name, std::uint32_t mode, std::string_view content) {
  const std::uint32_t links = S_ISDIR(mode) ? 2 : 1;
  // magic, ino, mode, uid, gid, nlink, mtime, filesize, dev (2), rdev (2), namesize, check
  const std::array<std::size_t, 13> fields = {
      inode_++, mode, 0, 0, links, 0, content.size(), 0, 0, 0, 0, name.size() + 1, 0};
  out_ += "070701";
  for (const std::size_t field : fields) append_hex(out_, field);
  out_ += name;
  out_ += '\0';
  pad(out_);
  out_ += content;
  pad(out_);
}

void CpioWriter::directory(std::string_view name, std::uint32_t mode) {
  entry(name, S_IFDIR | mode, {});
}

void CpioWriter::file(std::string_view name, std::uint32_t mode, std::string_view content) {
  entry(name, S_IFREG | mode, content);
}

std::string CpioWriter::finish() && {
  entry("TRAILER!!!", 0, {});
  return std::move(out_);
}

}  // namespace nexcage::vm::boot
