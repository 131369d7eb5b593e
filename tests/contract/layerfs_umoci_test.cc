// Random stacks of layers, unpacked by us (and seen through the mount) and by umoci: the trees must
// be the same. umoci's unpacker shares nothing with ours.
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "layer_scratch.h"
#include "nexcage/layerfs/convert/convert.h"
#include "nexcage/layerfs/drivers/upper.h"
#include "nexcage/layerfs/layerfs.h"
#include "nexcage/layerfs/unpack/unpack_layer.h"
#include "oci_layout.h"
#include "result_matchers.h"
#include "stack_maker.h"
#include "tree_compare.h"
#include "umoci.h"

namespace nexcage::layerfs {
namespace {

namespace fs = std::filesystem;
using ::nexcage::testing::compare_trees;
using ::nexcage::testing::kNotInAnyStack;
using ::nexcage::testing::kUmoci;
using ::nexcage::testing::LayerScratch;
using ::nexcage::testing::OciLayout;
using ::nexcage::testing::read_tree;
using ::nexcage::testing::StackMaker;
using ::nexcage::testing::Tree;
using ::nexcage::testing::umoci_differs;
using ::nexcage::testing::umoci_removed_the_target;
using ::nexcage::testing::umoci_unpack;

class AgainstUmoci : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    NX_NEEDS_ROOT();
    if (!fs::exists(kUmoci)) GTEST_SKIP() << "needs umoci to compare with";
    layout_ = std::make_unique<OciLayout>(scratch_ / "images");
  }

  /// The tree we make, or nullopt when we refuse.
  std::optional<Tree> ours(const image::Image& image) {
    scratch_.allow_removal();
    EXPECT_OK(sys::remove_tree(scratch_ / "layers"));
    const auto store = image::Store::open(layout_->root(), image::Store::IfMissing::fail);
    auto driver =
        layerfs::open({.root = scratch_ / "layers",
                       .driver = GetParam(),
                       .unpack = [](const UnpackJob& job) { return unpack::unpack_layer(job); },
                       .convert = [](const ConvertJob& job) { return convert::convert(job); }});
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
    EXPECT_OK(remove_upper(at));
    return tree;
  }

  LayerScratch scratch_;
  std::unique_ptr<OciLayout> layout_;
  std::string said_;
};

/// Paths on which we left the time of unpacking: there must be none.
std::string with_current_time(const Tree& tree) {
  std::string paths;
  for (const auto& [path, fields] : tree)
    if (fields.at("mtime") > kNotInAnyStack) paths += path + " ";
  return paths;
}

TEST_P(AgainstUmoci, RandomStacksAreTheSameTree) {
  int stacks = 100;
  if (const char* wanted = std::getenv("NX_STACKS")) stacks = std::atoi(wanted);
  unsigned first = 1;
  if (const char* wanted = std::getenv("NX_SEED")) first = static_cast<unsigned>(std::atoi(wanted));
  int compared = 0;
  for (unsigned seed = first; seed < first + static_cast<unsigned>(stacks) && !HasFailure();
       ++seed) {
    // What overlayfs cannot show is left to layerfs_stacks_test.cc.
    StackMaker maker(
        seed, {.links_to_linked_files = false, .empty_attributes = false, .access_lists = false});
    const std::vector<std::string> layers = maker.stack();
    SCOPED_TRACE("NX_STACKS=1 NX_SEED=" + std::to_string(seed) + maker.text());
    const std::string tag = "s" + std::to_string(seed);
    const image::Image image = layout_->add(tag, layers);
    said_.clear();
    const auto [expected, said] = umoci_unpack(layout_->root(), tag, scratch_ / "umoci");
    const std::optional<Tree> actual = ours(image);
    if (!expected && actual && umoci_removed_the_target(said)) continue;
    ASSERT_EQ(expected.has_value(), actual.has_value()) << said << said_;
    if (!expected) continue;
    ++compared;
    const auto ignore = [differs = umoci_differs(*expected, *actual)](const auto& path,
                                                                      const auto& field) {
      // overlayfs tells the count of the lower file and, of directories, always 1.
      return field == "nlink" || differs(path, field);
    };
    EXPECT_EQ(compare_trees(*expected, *actual, ignore), "");
    EXPECT_EQ(with_current_time(*actual), "");
  }
  EXPECT_GT(compared, stacks / 2)
      << "most stacks must be unpackable for the test to mean something";
}

INSTANTIATE_TEST_SUITE_P(Drivers, AgainstUmoci, ::testing::Values("erofs", "overlay", "copy"));

}  // namespace
}  // namespace nexcage::layerfs
