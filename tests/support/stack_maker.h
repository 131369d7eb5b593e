// Random stacks of layers for tests that compare unpackers: tars over few names, so that replacing,
// hiding and linking across layers happen all the time. The same seed gives the same stack.
#pragma once

#include <cstdint>
#include <iterator>
#include <map>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tar_writer.h"

namespace nexcage::testing {

/// What stacks may hold.
struct StackTraits {
  /// Further names for files that have several already and lie in a lower layer. Overlayfs cannot
  /// give a lower file a name in an upper layer: it is copied, and its other names keep the old
  /// inode.
  bool links_to_linked_files = true;
  /// Names of strange bytes and lengths, in strange spellings.
  bool odd_names = true;
  /// Extended attributes without a value. Go's archive/tar, hence umoci, drops them.
  bool empty_attributes = true;
  /// POSIX access control lists, good ones, also where there can be none.
  bool access_lists = true;
  int layers = 4, members = 12;  // at most, each
};

/// It keeps a model of the merged tree (path -> type flag) to make members that can work; what is
/// refused by all unpackers is as good a test.
class StackMaker {
 public:
  explicit StackMaker(unsigned seed, const StackTraits& traits = {})
      : random_(seed), traits_(traits) {
    for (const char* name : {"a", "b", "c", "d", "e"}) names_.emplace_back(name);
    static const std::string odd[] = {
        "\xff\xfe", "a\nb", " ",  "-a",   "\xc3\xa4", "...",      std::string(255, 'n'),
        ".wh",      "*",    "\\", "a\tb", "\x01\x7f", "a.wh..wh", std::string(200, 'x') + "\x80"};
    if (traits_.odd_names && pick(2) == 0)
      for (std::string& name : names_)
        if (pick(2) == 0) name = odd[pick(std::size(odd))];
  }

  std::vector<std::string> stack() {
    std::vector<std::string> layers(1 + pick(static_cast<std::size_t>(traits_.layers)));
    for (std::string& one : layers) one = layer();
    return layers;
  }
  /// What was made, one line per layer.
  const std::string& text() const { return text_; }

 private:
  std::string layer() {
    TarWriter tar;
    text_ += "\nlayer:";
    entered_.clear();
    // With a member for the root in the lowest layer the root's time is comparable.
    if (first_ || pick(8) == 0)
      add(tar, with_metadata({.name = "./", .type = TarMember::kDirectory}));
    first_ = false;
    const std::size_t members = 1 + pick(static_cast<std::size_t>(traits_.members));
    for (std::size_t i = 0; i < members; ++i) add_member(tar);
    return tar.finish();
  }

  void add_member(TarWriter& tar) {
    const std::string path = join(pick_directory(), name());
    switch (pick(17)) {
      case 0:
      case 1:
      case 2:
        return put(tar, {.name = path, .data = data(size())});
      case 3:
        return put(tar, sparse(path));
      case 4:
      case 5:
      case 6:
      case 7:
        return put(tar, {.name = path, .type = TarMember::kDirectory});
      case 8:
      case 9:
        return put(tar, {.name = path, .type = TarMember::kSymlink, .link = link_target()});
      case 10:
      case 11:
        return put_hard_link(tar, path);
      case 12:
        return put(tar, node(path));
      case 13:
      case 14:
      case 15:
        return hide(tar);
      default:
        return hide_all(tar);
    }
  }

  void put(TarWriter& tar, TarMember member) {
    const auto known = model_.find(member.name);
    const bool was_directory = known != model_.end() && known->second == TarMember::kDirectory;
    if (member.type != TarMember::kDirectory || !was_directory) erase(member.name);
    model_[member.name] = member.type;
    linked_.erase(member.name);
    entered_.insert(member.name);
    add(tar, with_metadata(std::move(member)));
  }

  void add(TarWriter& tar, TarMember member) {
    text_ += std::string(" ") + member.type + printable(member.name);
    if (!member.link.empty()) text_ += "->" + printable(member.link);
    member.name = spelled(member.name);
    tar.add(member);
  }

  void put_hard_link(TarWriter& tar, const std::string& path) {
    std::vector<std::string> files;
    for (const auto& [name, type] : model_) {
      const bool may_be_linked = traits_.links_to_linked_files || !linked_.contains(name);
      if (type != TarMember::kDirectory && !path.starts_with(name) && may_be_linked)
        files.push_back(name);
    }
    if (files.empty()) return;
    const std::string target = files[pick(files.size())];
    const char type = model_[target];
    erase(path);
    model_[path] = type;
    linked_.insert(path);
    linked_.insert(target);
    entered_.insert(path);
    add(tar,
        {.name = path, .type = TarMember::kHardLink, .link = (pick(2) == 0 ? "" : "/") + target});
  }

  void hide(TarWriter& tar) {
    if (model_.empty()) return;
    const std::string path = pick_key();
    const std::size_t slash = path.rfind('/');
    const std::string parent = slash == std::string::npos ? "" : path.substr(0, slash + 1);
    // A whiteout adds four bytes to a name.
    if (path.size() - parent.size() > 251) return;
    add(tar, {.name = parent + ".wh." + path.substr(parent.size())});
    if (!entered_.contains(path)) erase(path);
  }

  void hide_all(TarWriter& tar) { add(tar, {.name = join(pick_directory(), ".wh..wh..opq")}); }

  TarMember sparse(const std::string& path) {
    TarMember member{.name = path};
    std::uint64_t at = 0, stored = 0;
    const std::size_t unit = pick(3) == 0 ? 1 : 512;
    const std::size_t count = 1 + pick(4);
    for (std::size_t i = 0; i < count; ++i) {
      at += pick(40) * unit * 7;
      const std::uint64_t length = (1 + pick(20)) * unit;
      member.segments.emplace_back(at, length);
      at += length;
      stored += length;
    }
    member.data = data(stored);
    member.sparse_size = at + pick(3) * 5000;
    return member;
  }

  TarMember node(const std::string& path) {
    static constexpr char kTypes[] = {TarMember::kFifo, TarMember::kCharDevice,
                                      TarMember::kBlockDevice};
    const char type = kTypes[pick(3)];
    const bool is_large = pick(3) == 0;
    return {.name = path,
            .type = type,
            .dev_major = is_large ? 4095u : 1u,
            .dev_minor = is_large ? 1048575u : 3u};
  }

  TarMember with_metadata(TarMember member) {
    static constexpr unsigned kModes[] = {0644, 0755, 0700, 0600, 04755, 02755, 01777, 0444, 0};
    static constexpr std::uint64_t kIds[] = {
        0, 0, 1000, 65535, 65536, 3'000'000'123, 4'294'967'294};
    member.mode = kModes[pick(std::size(kModes))];
    member.uid = kIds[pick(std::size(kIds))];
    member.gid = kIds[pick(std::size(kIds))];
    member.mtime = {.tv_sec = 1'500'000'000 + static_cast<time_t>(pick(1'000'000)),
                    .tv_nsec = static_cast<long>(pick(3)) * 123'456'789L};
    if (pick(4) == 0) add_attributes(member);
    return member;
  }

  void add_attributes(TarMember& member) {
    // user.* belongs to files and directories only (xattr(7)).
    const bool is_plain = member.type == TarMember::kFile || member.type == TarMember::kDirectory;
    const std::size_t count = 1 + pick(3);
    for (std::size_t i = 0; i < count; ++i) {
      const std::string name = (is_plain && pick(2) == 0 ? "user.t" : "trusted.t") +
                               std::string(pick(30), 'n') + std::to_string(pick(3));
      member.xattrs[name] = data((traits_.empty_attributes ? 0 : 1) + pick(100));
    }
    // What Linux has no place for is left out.
    if (pick(8) == 0) member.xattrs["com.apple.provenance"] = "x";
    if (traits_.access_lists && pick(3) == 0) add_access_lists(member);
    static const std::string capability("\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
    if (member.type == TarMember::kFile && pick(3) == 0)
      member.xattrs["security.capability"] = capability;
  }

  void add_access_lists(TarMember& member) {
    // Owner, user 1000, group, mask, others: the version and entries of tag, permissions and id.
    std::string list("\2\0\0\0", 4);
    const bool is_long = pick(3) != 0;
    for (const int tag : {1, 2, 4, 16, 32}) {
      if (!is_long && (tag == 2 || tag == 16)) continue;
      const char permissions = static_cast<char>(pick(8));
      const char bytes[8] = {static_cast<char>(tag), 0, permissions, 0, '\xe8', 3, 0, 0};
      list.append(bytes, sizeof bytes);
    }
    member.xattrs[pick(2) == 0 ? "system.posix_acl_access" : "system.posix_acl_default"] = list;
  }

  std::string link_target() {
    static constexpr const char* kOdd[] = {"/",         "..", "../..",  "nowhere",
                                           "/no/where", ".",  "a/../b", "/no/../c"};
    if (pick(3) == 0 || model_.empty()) return kOdd[pick(std::size(kOdd))];
    return (pick(2) == 0 ? "/" : "") + pick_key();
  }

  std::size_t size() {
    static constexpr std::size_t kSizes[] = {0, 1, 511, 512, 513, 4096, 8192, 66'000};
    return pick(3) == 0 ? kSizes[pick(std::size(kSizes))] : pick(5000);
  }
  std::string data(std::size_t size) {
    std::string bytes(size, static_cast<char>(pick(256)));
    for (std::size_t i = 0; i < size; i += 61) bytes[i] = static_cast<char>(random_());
    return bytes;
  }

  std::string name() { return names_[pick(names_.size())]; }
  /// The same name as some archive might have it.
  std::string spelled(const std::string& name) {
    if (!traits_.odd_names || name == "./") return name;
    switch (pick(12)) {
      case 0:
        return "./" + name;
      case 1:
        return "/" + name;
      case 2:
        return "../" + name;
      case 3:
        return "q/.././/" + name;
      default:
        return name;
    }
  }
  std::string pick_key() {
    auto item = model_.begin();
    std::advance(item, pick(model_.size()));
    return item->first;
  }
  /// Mostly a directory that exists, sometimes a symlink, which may lead to one, or a new path.
  std::string pick_directory() {
    std::vector<std::string> directories = {"", ""};
    for (const auto& [path, type] : model_)
      if (type == TarMember::kDirectory || (type == TarMember::kSymlink && pick(3) == 0))
        directories.push_back(path);
    std::string directory = directories[pick(directories.size())];
    // Sometimes one that no member describes.
    if (pick(12) == 0) directory = join(directory, name());
    // The paths of this model stay short enough for every unpacker.
    return directory.size() > 1500 ? "" : directory;
  }
  void erase(const std::string& path) {
    std::erase_if(model_, [&](const auto& item) {
      return item.first == path || item.first.starts_with(path + "/");
    });
  }
  static std::string join(const std::string& directory, const std::string& name) {
    return directory.empty() ? name : directory + "/" + name;
  }
  static std::string printable(const std::string& text) {
    std::string result;
    for (const char c : text) {
      if (c > 0x20 && c < 0x7f) {
        result += c;
      } else {
        char code[8];
        (void)std::snprintf(code, sizeof code, "\\x%02x", static_cast<unsigned char>(c));
        result += code;
      }
    }
    return result;
  }
  std::size_t pick(std::size_t below) { return below == 0 ? 0 : random_() % below; }

  std::mt19937 random_;
  StackTraits traits_;
  std::vector<std::string> names_;
  std::string text_;
  std::map<std::string, char> model_;
  std::set<std::string> entered_, linked_;
  bool first_ = true;
};

}  // namespace nexcage::testing
