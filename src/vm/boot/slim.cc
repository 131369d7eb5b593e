#include "nexcage/vm/boot/slim.h"

#include <elf.h>

#include <cstdint>
#include <cstring>
#include <string_view>

namespace nexcage::vm::boot {
namespace {

constexpr std::string_view kSignatureMark = "~Module signature appended~\n";
/// struct module_signature; its last four bytes are the signature's length, the highest first.
constexpr std::size_t kSignatureInfo = 12;

void cut_signature(std::string& module) {
  if (!module.ends_with(kSignatureMark)) return;
  const std::size_t end = module.size() - kSignatureMark.size();
  if (end < kSignatureInfo) return;
  std::size_t length = 0;
  for (std::size_t i = end - 4; i < end; ++i)
    length = length << 8 | static_cast<unsigned char>(module[i]);
  if (length > end - kSignatureInfo) return;
  module.resize(end - kSignatureInfo - length);
}

/// A record of the file; false when it does not lie in it whole.
template <class T>
bool read_at(std::string_view file, std::uint64_t offset, T& record) {
  if (offset > file.size() || sizeof record > file.size() - offset) return false;
  std::memcpy(&record, file.data() + offset, sizeof record);
  return true;
}

/// A section that has no name is not found.
void hide_section(std::string& module, std::string_view name) {
  Elf64_Ehdr header;
  Elf64_Shdr names;
  if (!module.starts_with(ELFMAG) || !read_at(module, 0, header) ||
      header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_shentsize != sizeof(Elf64_Shdr) ||
      !read_at(module, header.e_shoff + header.e_shstrndx * sizeof names, names))
    return;
  for (std::size_t i = 0; i < header.e_shnum; ++i) {
    const std::uint64_t offset = header.e_shoff + i * sizeof(Elf64_Shdr);
    Elf64_Shdr section;
    if (!read_at(module, offset, section)) return;
    const std::uint64_t at = names.sh_offset + section.sh_name;
    if (at >= module.size() || std::string_view(module.c_str() + at) != name) continue;
    section.sh_name = 0;
    module.replace(offset, sizeof section, reinterpret_cast<const char*>(&section), sizeof section);
  }
}

}  // namespace

std::string slim_module(std::string module) {
  cut_signature(module);
  hide_section(module, ".BTF");
  return module;
}

}  // namespace nexcage::vm::boot
