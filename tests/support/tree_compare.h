// What a directory tree holds, as text that can be compared: every path with type, mode, owner,
// size, content, extended attributes, link target, time of change, count of links and hard-link
// group.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nexcage::testing {

/// Path (relative, "." is the root) -> field name -> value.
using TreeFields = std::map<std::string, std::string>;
using Tree = std::map<std::string, TreeFields>;

/// FNV-1a.
inline std::uint64_t hash_more(std::uint64_t hash, std::string_view bytes) {
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}
inline constexpr std::uint64_t kHashStart = 0xcbf29ce484222325;

/// Hash of a file's bytes, holes read as zeros.
inline std::string content_hash(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::uint64_t hash = kHashStart;
  std::vector<char> buffer(1 << 16);
  while (file.read(buffer.data(), static_cast<std::streamsize>(buffer.size())) || file.gcount() > 0)
    hash = hash_more(hash, {buffer.data(), static_cast<std::size_t>(file.gcount())});
  return std::to_string(hash);
}

/// Attributes that belong to the tree: not those by which overlayfs or a host's policy directs
/// itself, nor the second name under which xfs shows access control lists.
inline std::string xattr_text(const std::string& path) {
  std::string names(65536, '\0');
  const ssize_t length = llistxattr(path.c_str(), names.data(), names.size());
  std::map<std::string, std::string> values;
  for (const char* name = names.data(); length > 0 && name < names.data() + length;
       name += std::string(name).size() + 1) {
    const std::string text = name;
    if (text.starts_with("trusted.overlay.") || text.starts_with("trusted.SGI_ACL_") ||
        text == "security.selinux" || text == "user.rootlesscontainers")
      continue;
    std::string value(65536, '\0');
    const ssize_t got = lgetxattr(path.c_str(), name, value.data(), value.size());
    value.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    values[text] = value;
  }
  std::string text;
  for (const auto& [name, value] : values) text += name + "=" + value + ";";
  return text;
}

inline TreeFields fields_of(const std::string& path, const struct stat& info) {
  TreeFields fields;
  char text[64];
  (void)std::snprintf(text, sizeof text, "%o", info.st_mode);
  fields["mode"] = text;
  fields["owner"] = std::to_string(info.st_uid) + ":" + std::to_string(info.st_gid);
  (void)std::snprintf(text, sizeof text, "%lld.%09ld", static_cast<long long>(info.st_mtim.tv_sec),
                      info.st_mtim.tv_nsec);
  fields["mtime"] = text;
  fields["xattrs"] = xattr_text(path);
  fields["nlink"] = std::to_string(info.st_nlink);
  if (S_ISREG(info.st_mode)) {
    fields["size"] = std::to_string(info.st_size);
    fields["content"] = content_hash(path);
  } else if (S_ISLNK(info.st_mode)) {
    fields["target"] = std::filesystem::read_symlink(path).string();
  } else if (S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode)) {
    fields["device"] =
        std::to_string(major(info.st_rdev)) + ":" + std::to_string(minor(info.st_rdev));
  }
  return fields;
}

/// Notes that these paths are names of one file.
inline void set_links(Tree& tree, std::vector<std::string> paths) {
  std::ranges::sort(paths);
  for (const std::string& path : paths)
    if (paths.size() > 1) tree[path]["links"] = paths.front();
}

/// Reads the tree below `root`. No symlink is followed.
inline Tree read_tree(const std::string& root) {
  Tree tree;
  std::map<std::pair<dev_t, ino_t>, std::vector<std::string>> links;
  const std::function<void(const std::string&)> visit = [&](const std::string& path) {
    const std::string full = path == "." ? root : root + "/" + path;
    struct stat info{};
    if (lstat(full.c_str(), &info) != 0) {
      tree[path]["error"] = "listed, but lstat says: " + std::to_string(errno);
      return;
    }
    tree[path] = fields_of(full, info);
    if (!S_ISDIR(info.st_mode)) {
      if (info.st_nlink > 1) links[{info.st_dev, info.st_ino}].push_back(path);
      return;
    }
    for (const auto& entry : std::filesystem::directory_iterator(full)) {
      const std::string name = entry.path().filename().string();
      visit(path == "." ? name : path + "/" + name);
    }
  };
  visit(".");
  for (auto& [inode, paths] : links) set_links(tree, paths);
  return tree;
}

/// Says which differences do not count.
using Ignore = std::function<bool(const std::string& path, const std::string& field)>;

/// One line per difference; empty when the trees are the same.
inline std::string compare_trees(const Tree& expected, const Tree& actual,
                                 const Ignore& ignore = nullptr) {
  std::string report;
  const auto note = [&](const std::string& path, const std::string& field, const std::string& was,
                        const std::string& is) {
    if (was == is || (ignore && ignore(path, field))) return;
    report += path + ": " + field + " is '" + is + "', expected '" + was + "'\n";
  };
  std::set<std::string> paths;
  for (const auto& [path, fields] : expected) paths.insert(path);
  for (const auto& [path, fields] : actual) paths.insert(path);
  for (const std::string& path : paths) {
    const auto was = expected.find(path), is = actual.find(path);
    if (was == expected.end() || is == actual.end()) {
      note(path, "existence", was == expected.end() ? "no" : "yes",
           is == actual.end() ? "no" : "yes");
      continue;
    }
    std::set<std::string> fields;
    for (const auto& [field, value] : was->second) fields.insert(field);
    for (const auto& [field, value] : is->second) fields.insert(field);
    for (const std::string& field : fields) {
      const auto a = was->second.find(field), b = is->second.find(field);
      note(path, field, a == was->second.end() ? "(none)" : a->second,
           b == is->second.end() ? "(none)" : b->second);
    }
  }
  return report;
}

}  // namespace nexcage::testing
