// Random stacks of layers, unpacked by us (and seen through the mount) and by umoci: the trees must
// be the same. umoci's unpacker shares nothing with ours.
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "layer_scratch.h"
#include "nexcage/layerfs/layerfs.h"
#include "nexcage/layerfs/unpack/unpack_layer.h"
#include "nexcage/sys/process.h"
#include "oci_layout.h"
#include "result_matchers.h"
#include "tar_writer.h"
#include "tree_compare.h"

namespace nexcage::layerfs {
namespace {

namespace fs = std::filesystem;
using ::nexcage::testing::compare_trees;
using ::nexcage::testing::LayerScratch;
using ::nexcage::testing::OciLayout;
using ::nexcage::testing::read_tree;
using ::nexcage::testing::TarMember;
using ::nexcage::testing::TarWriter;
using ::nexcage::testing::Tree;

/// Makes layers over few names, so that replacing, hiding and linking across layers happen all the
/// time. It keeps a model of the merged tree (path -> type flag) to make members that can work;
/// what fails in both unpackers is as good a test.
class StackMaker {
 public:
  explicit StackMaker(unsigned seed) : random_(seed) {}

  std::vector<std::string> stack() {
    std::vector<std::string> layers;
    const int count = 1 + pick(4);
    layers.reserve(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) layers.push_back(layer());
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
    if (first_) add(tar, with_metadata({.name = "./", .type = TarMember::kDirectory}));
    first_ = false;
    const int members = 1 + pick(12);
    for (int i = 0; i < members; ++i) add_member(tar);
    return tar.finish();
  }

  void add_member(TarWriter& tar) {
    const std::string parent = pick_directory();
    const std::string path = parent + (parent.empty() ? "" : "/") + name();
    switch (pick(16)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return put(tar, {.name = path,
                         .data = std::string(pick(5000), static_cast<char>('a' + pick(26)))});
      case 4:
      case 5:
      case 6:
      case 7:
        return put(tar, {.name = path, .type = TarMember::kDirectory});
      case 8:
      case 9:
        return put(tar, {.name = path, .type = TarMember::kSymlink, .link = link_target()});
      case 10:
        return put_hard_link(tar, path);
      case 11:
        return put(tar, {.name = path,
                         .type = pick(2) == 0 ? TarMember::kFifo : TarMember::kCharDevice,
                         .dev_major = 1,
                         .dev_minor = 3});
      case 12:
      case 13:
      case 14:
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

  void add(TarWriter& tar, const TarMember& member) {
    text_ += std::string(" ") + member.type + member.name;
    if (!member.link.empty()) text_ += "->" + member.link;
    tar.add(member);
  }

  void put_hard_link(TarWriter& tar, const std::string& path) {
    // A file that has a second name already is left alone when it lies in a lower layer: overlayfs
    // cannot give a lower file a name in an upper layer, so we copy it, and its other names keep
    // the old inode, while umoci, which has one tree only, links all of them.
    std::vector<std::string> files;
    for (const auto& [name, type] : model_)
      if (type != TarMember::kDirectory && !path.starts_with(name) && !linked_.contains(name))
        files.push_back(name);
    if (files.empty()) return;
    const std::string target =
        files[static_cast<std::size_t>(pick(static_cast<int>(files.size())))];
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
    add(tar, {.name = parent + ".wh." + path.substr(slash + 1)});
    if (!entered_.contains(path)) erase(path);
  }

  void hide_all(TarWriter& tar) {
    const std::string path = pick_directory();
    add(tar, {.name = path + (path.empty() ? "" : "/") + ".wh..wh..opq"});
  }

  TarMember with_metadata(TarMember member) {
    static constexpr unsigned kModes[] = {0644, 0755, 0700, 0600, 04755, 02755, 01777, 0444};
    member.mode = kModes[pick(8)];
    member.uid = pick(3) == 0 ? 3'000'000'000u + static_cast<unsigned>(pick(1000)) : 0;
    member.gid = static_cast<std::uint64_t>(pick(3)) * 1000;
    member.mtime = {.tv_sec = 1'500'000'000 + pick(1'000'000), .tv_nsec = pick(3) * 123'456'789L};
    const bool can_have = member.type == TarMember::kFile || member.type == TarMember::kDirectory;
    if (can_have && pick(4) == 0) member.xattrs = {{"user.test", std::string(1 + pick(20), 'v')}};
    return member;
  }

  std::string link_target() {
    static constexpr const char* kOdd[] = {"/",         "..", "../..",  "nowhere",
                                           "/no/where", ".",  "a/../b", "/no/../c"};
    if (pick(3) == 0 || model_.empty()) return kOdd[pick(8)];
    return (pick(2) == 0 ? "/" : "") + pick_key();
  }

  std::string name() { return std::string(1, static_cast<char>('a' + pick(5))); }
  std::string pick_key() {
    auto item = model_.begin();
    std::advance(item, pick(static_cast<int>(model_.size())));
    return item->first;
  }
  /// Mostly a directory that exists, sometimes a symlink, which may lead to one, or a new path.
  std::string pick_directory() {
    std::vector<std::string> directories = {"", ""};
    for (const auto& [path, type] : model_)
      if (type == TarMember::kDirectory || (type == TarMember::kSymlink && pick(3) == 0))
        directories.push_back(path);
    return directories[static_cast<std::size_t>(pick(static_cast<int>(directories.size())))];
  }
  void erase(const std::string& path) {
    std::erase_if(model_, [&](const auto& item) {
      return item.first == path || item.first.starts_with(path + "/");
    });
  }
  int pick(int below) {
    return below <= 0 ? 0 : static_cast<int>(random_() % static_cast<unsigned>(below));
  }

  std::mt19937 random_;
  std::string text_;
  std::map<std::string, char> model_;
  std::set<std::string> entered_, linked_;
  bool first_ = true;
};

class AgainstUmoci : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    NX_NEEDS_ROOT();
    if (!fs::exists("/usr/bin/umoci")) GTEST_SKIP() << "needs umoci to compare with";
    layout_ = std::make_unique<OciLayout>(scratch_ / "images");
  }

  /// The tree umoci makes, or nullopt when it refuses.
  std::optional<Tree> umoci(const std::string& tag) {
    const std::string bundle = scratch_ / "umoci";
    EXPECT_OK(sys::remove_tree(bundle));
    sys::Command command;
    command.argv = {
        "/usr/bin/umoci", "raw", "unpack", "--image", layout_->root() + ":" + tag, bundle};
    command.inherit_env = true;
    const auto output = sys::run(command, "", std::chrono::seconds(60));
    EXPECT_OK(output);
    if (!output || output->status != 0) {
      said_ = output ? output->err : "";
      return std::nullopt;
    }
    return read_tree(bundle);
  }

  /// The tree we make, or nullopt when we refuse.
  std::optional<Tree> ours(const image::Image& image) {
    EXPECT_OK(sys::remove_tree(scratch_ / "layers"));
    const auto store = image::Store::open(layout_->root(), image::Store::IfMissing::fail);
    auto driver = layerfs::open(
        {.root = scratch_ / "layers", .driver = GetParam(), .unpack = [](const UnpackJob& job) {
           return unpack::unpack_layer(job);
         }});
    EXPECT_OK(store);
    EXPECT_OK(driver);
    const auto stack = (*driver)->prepare(*store, image);
    if (!stack) {
      EXPECT_EQ(errc_name(stack.error().code()), "InvalidImage") << stack.error().debug_message();
      said_ += stack.error().message();
      return std::nullopt;
    }
    const MountPoint at{.target = scratch_ / "target", .upper = scratch_ / "upper"};
    fs::create_directories(at.target);
    fs::create_directories(at.upper);
    const auto record = (*driver)->mount(*stack, at, {});
    EXPECT_OK(record);
    Tree tree = read_tree(at.target);
    EXPECT_OK((*driver)->unmount(*record));
    return tree;
  }

  LayerScratch scratch_;
  std::unique_ptr<OciLayout> layout_;
  std::string said_;
};

// All times in the stacks lie before it, the time of this test after it.
constexpr const char* kNotInAnyStack = "1700000000";

/// umoci leaves the current time on a directory that no layer has a member for and on one from
/// which it removed files because of an opaque whiteout. We give the former time 0, so that a layer
/// is the same wherever it is unpacked, and the latter keeps the time its image gave it.
bool umoci_lost_the_time(const Tree& expected, const std::string& path, const std::string& field) {
  if (field != "mtime") return false;
  const auto item = expected.find(path);
  return item != expected.end() && item->second.at("mtime") > kNotInAnyStack;
}

/// For a hard link, umoci removes what has the name before it looks for the target, and fails when
/// this was the target itself or the symlink that leads to it. We look first.
bool umoci_removed_the_target(const std::string& message) {
  return message.find("link: no such file or directory") != std::string::npos;
}

/// A directory that no layer has a member for: the only kind to which we give time 0. umoci makes
/// it where it lies, so it may take group and set-group-ID bit from its parent; ours is always 0755
/// 0:0.
bool is_implied(const Tree& actual, const std::string& path) {
  const auto item = actual.find(path);
  return item != actual.end() && item->second.at("mtime") == "0.000000000";
}

/// Paths on which we left the time of unpacking: there must be none.
std::string with_current_time(const Tree& tree) {
  std::string paths;
  for (const auto& [path, fields] : tree)
    if (fields.at("mtime") > kNotInAnyStack) paths += path + " ";
  return paths;
}

TEST_P(AgainstUmoci, RandomStacksAreTheSameTree) {
  int stacks = 300;
  if (const char* wanted = std::getenv("NX_STACKS")) stacks = std::atoi(wanted);
  unsigned first = 1;
  if (const char* wanted = std::getenv("NX_SEED")) first = static_cast<unsigned>(std::atoi(wanted));
  int compared = 0;
  for (unsigned seed = first; seed < first + static_cast<unsigned>(stacks) && !HasFailure();
       ++seed) {
    StackMaker maker(seed);
    const std::vector<std::string> layers = maker.stack();
    SCOPED_TRACE("NX_STACKS=1 NX_SEED=" + std::to_string(seed) + maker.text());
    const std::string tag = "s" + std::to_string(seed);
    const image::Image image = layout_->add(tag, layers);
    said_.clear();
    const std::optional<Tree> expected = umoci(tag), actual = ours(image);
    if (!expected && actual && umoci_removed_the_target(said_)) continue;
    ASSERT_EQ(expected.has_value(), actual.has_value()) << said_;
    if (!expected) continue;
    ++compared;
    const auto ignore = [&](const std::string& path, const std::string& field) {
      return umoci_lost_the_time(*expected, path, field) ||
             ((field == "mode" || field == "owner") && is_implied(*actual, path));
    };
    EXPECT_EQ(compare_trees(*expected, *actual, ignore), "");
    EXPECT_EQ(with_current_time(*actual), "");
  }
  EXPECT_GT(compared, stacks / 2)
      << "most stacks must be unpackable for the test to mean something";
}

INSTANTIATE_TEST_SUITE_P(Drivers, AgainstUmoci, ::testing::ValuesIn(driver_names()));

}  // namespace
}  // namespace nexcage::layerfs
