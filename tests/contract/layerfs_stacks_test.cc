// Random stacks of layers through every way LayerFS has of making a tree of them: the trees must be
// the same, and as umoci, whose unpacker shares nothing with ours, makes them.
//
// NX_STACKS: how many (10,000 take some minutes on a release build); NX_SEED: the first one;
// NX_UMOCI_EVERY: umoci unpacks each so manieth.
#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "layer_scratch.h"
#include "nexcage/image/content/stream.h"
#include "nexcage/layerfs/erofs/write.h"
#include "nexcage/layerfs/tree/apply.h"
#include "nexcage/layerfs/tree/materialise.h"
#include "nexcage/layerfs/tree/names.h"
#include "nexcage/sys/mount.h"
#include "oci_layout.h"
#include "result_matchers.h"
#include "stack_maker.h"
#include "tree_compare.h"
#include "tree_text.h"
#include "umoci.h"

namespace nexcage::layerfs {
namespace {

namespace fs = std::filesystem;
using ::nexcage::testing::compare_trees;
using ::nexcage::testing::describe_tree;
using ::nexcage::testing::kUmoci;
using ::nexcage::testing::LayerScratch;
using ::nexcage::testing::OciLayout;
using ::nexcage::testing::read_tree;
using ::nexcage::testing::set_links;
using ::nexcage::testing::StackMaker;
using ::nexcage::testing::Tree;
using ::nexcage::testing::umoci_differs;
using ::nexcage::testing::umoci_removed_the_target;
using ::nexcage::testing::umoci_unpack;

unsigned number_from(const char* variable, unsigned otherwise) {
  const char* wanted = std::getenv(variable);
  return wanted == nullptr ? otherwise : static_cast<unsigned>(std::atoi(wanted));
}

/// A stack with everything that was computed of it.
struct Stack {
  std::vector<std::string> tars;
  std::vector<UniqueFd> files;  // the tars, on disk
  tree::Tree merged;
  std::vector<tree::Tree> layers;  // as overlayfs wants them
  std::size_t first = 0;           // layers below this are hidden by an opaque root
};

class LayerStacks : public ::testing::Test {
 protected:
  void SetUp() override {
    NX_NEEDS_ROOT();
    const std::string probe = scratch_ / "probe";
    tree::Tree empty;
    ASSERT_OK(write_image(empty, {.form = erofs::Form::full}, {}, probe));
    const auto mounted =
        sys::new_mount("erofs", {{.key = "source", .value = probe}}, MOUNT_ATTR_RDONLY);
    if (!mounted)
      GTEST_SKIP() << "needs EROFS images mounted from files (Linux 6.12): "
                   << mounted.error().message();
  }

  /// All layers applied, or why they cannot be.
  Result<Stack> apply(std::vector<std::string> tars) {
    Stack stack;
    for (std::size_t i = 0; i < tars.size(); ++i) {
      image::content::MemorySource source(std::as_bytes(std::span(tars[i])));
      image::content::TarReader reader(source);
      NX_TRY(const tree::Members members, tree::read_members(reader));
      NX_TRY(tree::LayerChange change,
             tree::plan_layer(stack.merged, members, static_cast<std::uint32_t>(i)));
      stack.layers.push_back(tree::overlay_form(stack.merged, change));
      if (change.applied.root_opaque) stack.first = i;
      tree::merge(stack.merged, std::move(change));
      NX_TRY(UniqueFd file, sys::open_at(AT_FDCWD, tar_path(i), O_RDWR | O_CREAT | O_TRUNC, 0600));
      NX_CHECK(sys::write_all(file.get(), tars[i]));
      stack.files.push_back(std::move(file));
    }
    stack.tars = std::move(tars);
    return stack;
  }

  std::string tar_path(std::size_t layer) { return scratch_ / ("t" + std::to_string(layer)); }
  static std::vector<int> numbers(const std::vector<UniqueFd>& files) {
    std::vector<int> result;
    result.reserve(files.size());
    for (const UniqueFd& file : files) result.push_back(file.get());
    return result;
  }

  static Result<> write_image(const tree::Tree& of, const erofs::WriteOptions& options,
                              std::span<const int> tars, const std::string& path) {
    NX_TRY(const UniqueFd out, sys::open_at(AT_FDCWD, path, O_RDWR | O_CREAT | O_TRUNC, 0600));
    NX_CHECK(erofs::write(of, options, tars, out.get()));
    return {};
  }

  /// An image of the tree, mounted nowhere yet.
  Result<sys::DetachedMount> image_mount(const tree::Tree& of, erofs::Form form, const Stack& stack,
                                         const std::string& name) {
    erofs::WriteOptions options{.form = form};
    std::vector<sys::FsParam> params = {{.key = "source", .value = scratch_ / name}};
    if (form == erofs::Form::index) {
      for (std::size_t i = 0; i < stack.tars.size(); ++i) {
        options.devices.push_back({.bytes = stack.tars[i].size()});
        params.push_back({.key = "device", .value = tar_path(i)});
      }
    }
    NX_CHECK(write_image(of, options, numbers(stack.files), scratch_ / name));
    return sys::new_mount("erofs", params, MOUNT_ATTR_RDONLY);
  }

  /// What the mount shows.
  Tree look(const Result<sys::DetachedMount>& mount) {
    EXPECT_OK(mount);
    if (!mount) return {};
    const std::string at = scratch_ / "mnt";
    fs::create_directories(at);
    EXPECT_OK(sys::attach(*mount, at));
    Tree tree = read_tree(at);
    EXPECT_OK(sys::unmount(at));
    return tree;
  }

  /// Directories over each other, nearest to the top first.
  Result<sys::DetachedMount> overlay_mount(const std::vector<UniqueFd>& lowers) {
    std::vector<sys::FsParam> params;
    params.reserve(lowers.size() + 1);
    for (const UniqueFd& lower : lowers)
      params.push_back({.key = "lowerdir+", .value = {}, .fd = lower.get()});
    // Without an upper overlayfs wants two directories.
    fs::create_directories(scratch_ / "nothing");
    params.push_back({.key = "lowerdir+", .value = scratch_ / "nothing"});
    return sys::new_mount("overlay", params, MOUNT_ATTR_RDONLY);
  }

  // The ways.

  Tree plain(const Stack& stack) {
    const std::string path = scratch_ / "plain";
    EXPECT_OK(sys::remove_tree(path));
    fs::create_directories(path);
    const UniqueFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    EXPECT_OK(tree::materialise(stack.merged, numbers(stack.files), directory.get()));
    return read_tree(path);
  }
  Tree one_image(const Stack& stack, erofs::Form form) {
    return look(image_mount(stack.merged, form, stack, "merged"));
  }
  Tree images_of_layers(const Stack& stack) {
    std::vector<UniqueFd> lowers;
    for (std::size_t i = stack.layers.size(); i-- > stack.first;) {
      auto image =
          image_mount(stack.layers[i], erofs::Form::index, stack, "index" + std::to_string(i));
      EXPECT_OK(image);
      if (!image) return {};
      lowers.push_back(std::move(*image));
    }
    return look(overlay_mount(lowers));
  }
  /// What the overlay driver unpacks. nullopt when it refuses.
  std::optional<Tree> directories_of_layers(const std::vector<std::string>& tars) {
    std::vector<std::string> below;
    for (std::size_t i = 0; i < tars.size(); ++i) {
      const std::string name = "l" + std::to_string(i);
      EXPECT_OK(sys::remove_tree(scratch_ / name));
      const auto result = scratch_.unpack(name, tars[i], below);
      if (!result) {
        EXPECT_EQ(errc_name(result.error().code()), "InvalidImage") << result.error().message();
        refusal_ = result.error().frames().front().text;
        return std::nullopt;
      }
      if (result->root_opaque) below.clear();
      below.insert(below.begin(), name);
    }
    std::vector<UniqueFd> lowers;
    lowers.reserve(below.size());
    for (const std::string& name : below)
      lowers.emplace_back(::open((scratch_ / name).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    return look(overlay_mount(lowers));
  }

  /// Against the outside judge.
  void expect_as_umoci(const std::string& tag, const std::vector<std::string>& tars,
                       const std::optional<Tree>& ours) {
    OciLayout layout(scratch_ / "images");
    layout.add(tag, tars);
    const auto [theirs, said] = umoci_unpack(layout.root(), tag, scratch_ / "umoci");
    if (!theirs && ours && umoci_removed_the_target(said)) return;
    ASSERT_EQ(theirs.has_value(), ours.has_value()) << said;
    if (!theirs) return;
    ++judged_;
    EXPECT_EQ(compare_trees(*theirs, *ours, umoci_differs(*theirs, *ours)), "") << "umoci";
  }

  LayerScratch scratch_;
  unsigned judged_ = 0;
  std::string refusal_;  // why the last unpacking failed
};

/// The tree as overlayfs can show it: a name belongs to the topmost layer that has it, and only
/// names in one layer can be one file. A hard link to a lower layer's file brings a copy of it up,
/// the names which that layer does not mention keep the old one.
Tree as_overlayfs_shows(Tree tree, const Stack& stack) {
  std::map<std::pair<std::size_t, tree::InodeId>, std::vector<std::string>> groups;
  for (auto& [path, fields] : tree) {
    fields.erase("links");
    if (path == "." || fields.at("mode").starts_with("4")) continue;
    for (std::size_t layer = stack.layers.size(); layer-- > 0;) {
      const tree::Tree& in = stack.layers[layer];
      std::optional<tree::InodeId> at = tree::Tree::kRoot;
      for (const std::string& name : tree::components(path)) {
        at = in.find(*at, name);
        if (!at) break;
      }
      if (!at) continue;
      groups[{layer, *at}].push_back(path);
      break;
    }
  }
  for (const auto& [inode, paths] : groups) set_links(tree, paths);
  return tree;
}

/// It tells the count of the lower file, hidden names included, and of directories always 1.
bool overlayfs_counts_otherwise(const std::string&, const std::string& field) {
  return field == "nlink";
}

TEST_F(LayerStacks, EveryWayMakesTheSameTree) {
  const unsigned first = number_from("NX_SEED", 1), count = number_from("NX_STACKS", 60),
                 every = number_from("NX_UMOCI_EVERY", 5);
  unsigned compared = 0;
  for (unsigned seed = first; seed < first + count && !HasFailure(); ++seed) {
    const bool is_judged = seed % every == 0 && fs::exists(kUmoci);
    StackMaker maker(seed, {.empty_attributes = !is_judged, .access_lists = !is_judged});
    const std::vector<std::string> tars = maker.stack();
    SCOPED_TRACE("NX_STACKS=1 NX_SEED=" + std::to_string(seed) + maker.text());
    const auto stack = apply(tars);
    const std::optional<Tree> unpacked = directories_of_layers(tars);
    const std::optional<Tree> expected =
        stack ? std::optional(describe_tree(stack->merged, stack->tars)) : std::nullopt;
    if (is_judged) expect_as_umoci("s" + std::to_string(seed), tars, expected);
    if (!stack) {
      EXPECT_EQ(errc_name(stack.error().code()), "InvalidImage");
      EXPECT_FALSE(unpacked) << stack.error().message();
      EXPECT_EQ(refusal_, stack.error().frames().front().text);
      continue;
    }
    ASSERT_TRUE(unpacked) << refusal_;
    ++compared;
    EXPECT_EQ(compare_trees(*expected, plain(*stack)), "") << "plain files";
    EXPECT_EQ(compare_trees(*expected, one_image(*stack, erofs::Form::index)), "") << "merged";
    EXPECT_EQ(compare_trees(*expected, one_image(*stack, erofs::Form::full)), "") << "full";
    const Tree layered = as_overlayfs_shows(*expected, *stack);
    EXPECT_EQ(compare_trees(layered, images_of_layers(*stack), overlayfs_counts_otherwise), "")
        << "index of each layer";
    EXPECT_EQ(compare_trees(layered, *unpacked,
                            [](const auto& path, const auto& field) {
                              // The driver gives the root its metadata when it mounts.
                              return path == "." || overlayfs_counts_otherwise(path, field);
                            }),
              "")
        << "overlay";
  }
  // Most stacks must be good for the test to mean something.
  if (count < 20 || HasFailure()) return;
  EXPECT_GT(compared, count / 2);
  if (fs::exists(kUmoci))
    EXPECT_GT(judged_, 0u);
  else
    GTEST_SKIP() << "needs umoci to compare with; all other ways were compared";
}

}  // namespace
}  // namespace nexcage::layerfs
