// Tar archives for tests, byte by byte, also wrong ones.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace nexcage::image::content::testing {

/// One header block; fields as the test wants them, the checksum is right unless told otherwise.
struct TarMember {
  char type = '0';
  std::string name = {};
  std::string link = {};
  std::string data = {};
  std::string size_field = {};   // 12 bytes; empty: octal size of the data
  std::string uid_field = {};    // 8 bytes; empty: 0
  std::string mtime_field = {};  // 12 bytes; empty: 0
  std::string magic = std::string(
      "ustar\0"
      "00",
      8);
  std::string prefix = {};
  bool wrong_checksum = false;
};

inline void put(std::string& block, std::size_t at, std::string_view text) {
  block.replace(at, text.size(), text);
}

inline std::string octal(std::uint64_t value, std::size_t width) {
  std::string digits;
  for (; width > 1; --width, value /= 8) digits.insert(0, 1, static_cast<char>('0' + value % 8));
  return digits + '\0';
}

/// Fills the checksum in.
inline std::string sealed(std::string block, bool wrong = false) {
  put(block, 148, "        ");
  std::uint64_t sum = wrong ? 1 : 0;
  for (unsigned char c : block) sum += c;
  put(block, 148, octal(sum, 7) + " ");
  return block;
}

inline std::string padded(std::string data) {
  data.resize((data.size() + 511) / 512 * 512, '\0');
  return data;
}

inline std::string tar_member(const TarMember& member) {
  std::string block(512, '\0');
  put(block, 0, member.name.substr(0, 100));
  put(block, 100, octal(0644, 8));
  put(block, 108, member.uid_field.empty() ? octal(0, 8) : member.uid_field);
  put(block, 116, octal(0, 8));
  put(block, 124, member.size_field.empty() ? octal(member.data.size(), 12) : member.size_field);
  put(block, 136, member.mtime_field.empty() ? octal(0, 12) : member.mtime_field);
  block[156] = member.type;
  put(block, 157, member.link.substr(0, 100));
  put(block, 257, member.magic);
  put(block, 329, octal(8, 8));
  put(block, 337, octal(1, 8));
  put(block, 345, member.prefix);
  return sealed(std::move(block), member.wrong_checksum) + padded(member.data);
}

/// "LENGTH KEY=VALUE\n" with the length that counts itself.
inline std::string pax_record(std::string_view key, std::string_view value) {
  std::string rest = " " + std::string(key) + "=" + std::string(value) + "\n";
  std::size_t length = rest.size() + 1;
  while (std::to_string(length).size() + rest.size() != length) ++length;
  return std::to_string(length) + rest;
}

inline std::string pax(std::string records) {
  return tar_member({.type = 'x', .name = "PaxHeaders/x", .data = std::move(records)});
}

inline std::string tar_end() { return std::string(1024, '\0'); }

}  // namespace nexcage::image::content::testing
