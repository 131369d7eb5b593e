#include "nexcage/layerfs/drivers/erofs_probe.h"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <memory>

#include "nexcage/layerfs/drivers/erofs_probe_image.h"
#include "nexcage/sys/fs.h"
#include "result_matchers.h"

namespace nexcage::layerfs::erofs_driver {
namespace {

namespace fs = std::filesystem;

class ErofsProbe : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root: mounts";
    auto scratch = sys::TempDir::create(fs::current_path(), "erofs-probe");
    ASSERT_OK(scratch);
    scratch_ = std::make_unique<sys::TempDir>(std::move(*scratch));
    auto store = LayerStore::open(scratch_->path(), "erofs");
    ASSERT_OK(store);
    store_ = std::make_unique<LayerStore>(std::move(*store));
  }
  Result<std::string> read_through(Source source, unsigned block_bits) {
    const std::string image = scratch_->path() + "/image", device = scratch_->path() + "/device";
    NX_CHECK(sys::write_file_atomic(image, probe_image(block_bits), 0400, sys::Durable::no));
    NX_CHECK(sys::write_file_atomic(device, probe_device(block_bits), 0400, sys::Durable::no));
    ImageFiles files;
    NX_TRY(files.image, sys::open_at(AT_FDCWD, image, O_RDONLY));
    NX_TRY(UniqueFd opened, sys::open_at(AT_FDCWD, device, O_RDONLY));
    files.devices.push_back(std::move(opened));
    NX_TRY(const sys::DetachedMount mount, mount_image(files, source));
    return sys::read_file(mount.get(), std::string(kProbeName));
  }
  bool has_erofs() {
    const auto found = ask_kernel(*store_);
    if (!found) std::cout << "no EROFS here: " << found.error().message() << '\n';
    return found.has_value();
  }

  std::unique_ptr<sys::TempDir> scratch_;
  std::unique_ptr<LayerStore> store_;
};

TEST_F(ErofsProbe, EachSourceReadsTheDevice) {
  if (!has_erofs()) GTEST_SKIP() << "this kernel mounts no EROFS";
  const auto found = ask_kernel(*store_);
  for (const Source source : {Source::files, Source::loops})
    for (const unsigned block_bits : {9u, 12u}) {
      if (source == Source::files && found->source == Source::loops) continue;
      if (block_bits == 9 && !found->small_blocks) continue;
      const auto text = read_through(source, block_bits);
      ASSERT_OK(text);
      EXPECT_EQ(*text, probe_device(block_bits)) << source_name(source) << ' ' << block_bits;
    }
}

TEST_F(ErofsProbe, AnswerIsRememberedForThisBoot) {
  if (!has_erofs()) GTEST_SKIP() << "this kernel mounts no EROFS";
  const auto first = probe(*store_);
  ASSERT_OK(first);
  const std::string file = store_->path() + "/.probe.json";
  auto text = sys::read_file(AT_FDCWD, file);
  ASSERT_OK(text);
  // What is written there is believed,
  const auto at = text->find(R"("small_blocks":true)");
  if (at == std::string::npos) GTEST_SKIP() << "this kernel has blocks of 4 KiB only";
  text->replace(at, 19, R"("small_blocks":false)");
  ASSERT_OK(sys::write_file_atomic(file, *text, 0600, sys::Durable::no));
  EXPECT_FALSE(probe(*store_)->small_blocks);
  // but not when it is of another boot, or damaged.
  for (const char* other : {R"({"boot":"x","loops":true,"small_blocks":false})", "{"}) {
    ASSERT_OK(sys::write_file_atomic(file, other, 0600, sys::Durable::no));
    EXPECT_TRUE(probe(*store_)->small_blocks);
  }
}

}  // namespace
}  // namespace nexcage::layerfs::erofs_driver
