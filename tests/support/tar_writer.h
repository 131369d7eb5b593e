// Writes tar archives for tests: ustar headers, with PAX records wherever a value does not fit or
// is a PAX matter (nanoseconds, extended attributes, sparse maps). It writes what it is told,
// however hostile. Format: pax(1); sparse files: GNU tar manual, "PAX Format, Version 1.0".
#pragma once

#include <time.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace nexcage::testing {

/// One member to write. `type` is the type flag.
struct TarMember {
  static constexpr char kFile = '0', kHardLink = '1', kSymlink = '2', kCharDevice = '3',
                        kBlockDevice = '4', kDirectory = '5', kFifo = '6';
  std::string name;
  char type = kFile;
  unsigned mode = 0644;
  std::uint64_t uid = 0, gid = 0;
  timespec mtime{.tv_sec = 1'000'000'000, .tv_nsec = 0};
  std::string link{};
  std::string data{};  // of a sparse file: its segments' bytes, one after the other
  std::uint64_t dev_major = 0, dev_minor = 0;
  std::map<std::string, std::string> xattrs{};
  /// {offset, length} of each piece of data; with it `size` is the size of the file.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> segments{};
  std::uint64_t sparse_size = 0;
};

class TarWriter {
 public:
  TarWriter& add(const TarMember& member) {
    std::string data = member.data;
    std::map<std::string, std::string> pax = pax_records(member);
    if (!member.segments.empty()) {
      std::string map = std::to_string(member.segments.size()) + "\n";
      for (const auto& [offset, length] : member.segments)
        map += std::to_string(offset) + "\n" + std::to_string(length) + "\n";
      pad(map);
      data.insert(0, map);
      pax["GNU.sparse.major"] = "1";
      pax["GNU.sparse.minor"] = "0";
      pax["GNU.sparse.name"] = member.name;
      pax["GNU.sparse.realsize"] = std::to_string(member.sparse_size);
    }
    if (!pax.empty()) add_pax(pax);
    const std::uint64_t size = member.type == TarMember::kFile ? data.size() : 0;
    add_header(member, member.name, size);
    if (size > 0) add_data(data);
    return *this;
  }

  TarWriter& directory(std::string name, unsigned mode = 0755) {
    return add({.name = std::move(name), .type = TarMember::kDirectory, .mode = mode});
  }
  TarWriter& file(std::string name, std::string data, unsigned mode = 0644) {
    return add({.name = std::move(name), .mode = mode, .data = std::move(data)});
  }
  TarWriter& symlink(std::string name, std::string target) {
    return add({.name = std::move(name),
                .type = TarMember::kSymlink,
                .mode = 0777,
                .link = std::move(target)});
  }
  TarWriter& hard_link(std::string name, std::string target) {
    return add({.name = std::move(name), .type = TarMember::kHardLink, .link = std::move(target)});
  }

  /// The archive so far with its end marker.
  std::string finish() const { return text_ + std::string(2 * kBlock, '\0'); }

 private:
  static constexpr std::size_t kBlock = 512;
  static constexpr std::uint64_t kMaxOctalId = 07777777;

  static void pad(std::string& text) {
    text.append((kBlock - text.size() % kBlock) % kBlock, '\0');
  }

  /// "LENGTH key=value\n", where LENGTH counts itself.
  static std::string record(const std::string& key, const std::string& value) {
    const std::string rest = " " + key + "=" + value + "\n";
    std::size_t length = rest.size() + 1;
    while (std::to_string(length).size() + rest.size() != length)
      length = std::to_string(length).size() + rest.size();
    return std::to_string(length) + rest;
  }

  static std::map<std::string, std::string> pax_records(const TarMember& member) {
    std::map<std::string, std::string> pax;
    if (member.name.size() > 100) pax["path"] = member.name;
    if (member.link.size() > 100) pax["linkpath"] = member.link;
    if (member.uid > kMaxOctalId) pax["uid"] = std::to_string(member.uid);
    if (member.gid > kMaxOctalId) pax["gid"] = std::to_string(member.gid);
    if (member.mtime.tv_nsec != 0) {
      char text[64];
      (void)std::snprintf(text, sizeof text, "%lld.%09ld",
                          static_cast<long long>(member.mtime.tv_sec), member.mtime.tv_nsec);
      pax["mtime"] = text;
    }
    for (const auto& [name, value] : member.xattrs) pax["SCHILY.xattr." + name] = value;
    return pax;
  }

  void add_pax(const std::map<std::string, std::string>& records) {
    std::string body;
    for (const auto& [key, value] : records) body += record(key, value);
    add_header({.name = {}, .type = 'x'}, "PaxHeaders/x", body.size());
    add_data(body);
  }

  void add_data(std::string data) {
    pad(data);
    text_ += data;
  }

  void add_header(const TarMember& member, const std::string& name, std::uint64_t size) {
    std::string block(kBlock, '\0');
    const auto put = [&](std::size_t at, std::size_t length, const std::string& value) {
      block.replace(at, std::min(length, value.size()), value, 0, length);
    };
    const auto octal = [&](std::size_t at, std::size_t length, std::uint64_t value) {
      char text[32];
      (void)std::snprintf(text, sizeof text, "%0*llo", static_cast<int>(length - 1),
                          static_cast<unsigned long long>(value));
      put(at, length, text);
    };
    put(0, 100, name);
    octal(100, 8, member.mode);
    octal(108, 8, member.uid > kMaxOctalId ? 0 : member.uid);
    octal(116, 8, member.gid > kMaxOctalId ? 0 : member.gid);
    octal(124, 12, size);
    octal(136, 12, static_cast<std::uint64_t>(member.mtime.tv_sec));
    block.replace(148, 8, 8, ' ');
    block[156] = member.type;
    put(157, 100, member.link);
    put(257, 8, std::string("ustar\00000", 8));
    octal(329, 8, member.dev_major);
    octal(337, 8, member.dev_minor);
    unsigned sum = 0;
    for (const char c : block) sum += static_cast<unsigned char>(c);
    octal(148, 7, sum);
    text_ += block;
  }

  std::string text_;
};

}  // namespace nexcage::testing
