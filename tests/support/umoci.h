// umoci's unpacker as an outside judge: it shares nothing with ours.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

#include "nexcage/sys/fs.h"
#include "nexcage/sys/process.h"
#include "result_matchers.h"
#include "tree_compare.h"

namespace nexcage::testing {

inline constexpr const char* kUmoci = "/usr/bin/umoci";

/// What umoci makes of an image: a tree, or why not.
struct UmociResult {
  std::optional<Tree> tree;
  std::string said;
};

/// Unpacks `layout`:`tag` to `directory`, which is removed first.
inline UmociResult umoci_unpack(const std::string& layout, const std::string& tag,
                                const std::string& directory) {
  EXPECT_OK(sys::remove_tree(directory));
  sys::Command command;
  command.argv = {kUmoci, "raw", "unpack", "--image", layout + ":" + tag, directory};
  command.inherit_env = true;
  const auto output = sys::run(command, "", std::chrono::seconds(60));
  EXPECT_OK(output);
  if (!output || output->status != 0) return {.tree = {}, .said = output ? output->err : ""};
  return {.tree = read_tree(directory), .said = {}};
}

/// All times in random stacks lie before it, the time of any test after it.
inline constexpr const char* kNotInAnyStack = "1700000000";

/// For a hard link, umoci removes what has the name before it looks for the target, and fails when
/// this was the target itself or the symlink that leads to it. We look first.
inline bool umoci_removed_the_target(const std::string& said) {
  return said.find("link: no such file or directory") != std::string::npos;
}

/// Differences to `ours` that are umoci's: it leaves the current time on a directory that no layer
/// has a member for and on one from which it removed files because of an opaque whiteout. We give
/// the former time 0, so that a layer is the same wherever it is unpacked, and the latter keeps the
/// time its image gave it. And it makes the former where it lies, so it may take group and
/// set-group-ID bit from its parent; ours is always 0755 0:0.
inline Ignore umoci_differs(const Tree& umoci, const Tree& ours) {
  return [&umoci, &ours](const std::string& path, const std::string& field) {
    const auto theirs = umoci.find(path), own = ours.find(path);
    const bool lost_the_time = theirs != umoci.end() && theirs->second.at("mtime") > kNotInAnyStack;
    const bool is_implied = own != ours.end() && own->second.at("mtime") == "0.000000000";
    return (field == "mtime" && lost_the_time) ||
           ((field == "mode" || field == "owner") && is_implied);
  };
}

}  // namespace nexcage::testing
