#include "nexcage/layerfs/convert/convert.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <memory>
#include <string>
#include <vector>

#include "nexcage/image/content/stream.h"
#include "nexcage/sys/fs.h"
#include "result_matchers.h"
#include "scratch.h"
#include "tar_writer.h"

namespace nexcage::layerfs::convert {
namespace {

using ::nexcage::testing::TarWriter;
using ::testing::HasSubstr;

class Convert : public ::testing::Test {
 protected:
  void SetUp() override {
    scratch_ = std::make_unique<sys::TempDir>(sys::TempDir::create(scratch_parent(), "c").value());
  }
  std::string path(const std::string& name) const { return scratch_->path() + "/" + name; }
  std::string text(const std::string& name) const {
    return sys::read_file(AT_FDCWD, path(name)).value_or("(unreadable)");
  }
  /// A plain blob of this tar, to be converted to the file NAME.tar.
  ConvertJob::LayerIn layer(const std::string& name, const std::string& tar) const {
    EXPECT_OK(sys::write_file_atomic(scratch_->fd(), name + ".blob", tar, 0644, sys::Durable::no));
    const oci::Digest digest = image::content::sha256_of(tar);
    return {.blob_path = path(name + ".blob"),
            .compression = oci::Compression::none,
            .digest = digest,
            .diff_id = digest,
            .size = tar.size(),
            .tar_path = path(name + ".tar"),
            .tar_is_there = false};
  }
  ConvertJob two_layers(const std::string& tag, ConvertForm form) const {
    return {.layers = {layer(tag + "0", TarWriter().directory("d").file("d/f", "abc").finish()),
                       layer(tag + "1", TarWriter().file("g", "12345").finish())},
            .form = form,
            .outputs = {path(tag + ".erofs")}};
  }

  std::unique_ptr<sys::TempDir> scratch_;
};

TEST_F(Convert, the_tar_stays_as_it_was_and_an_index_is_written) {
  const ConvertJob job = two_layers("a", ConvertForm::merged);
  const auto result = convert(job);
  ASSERT_OK(result);
  ASSERT_EQ(result->layers.size(), 2u);
  EXPECT_EQ(text("a0.tar"), text("a0.blob"));
  EXPECT_EQ(result->layers[0].tar_bytes, text("a0.blob").size());
  EXPECT_EQ(result->layers[0].entries, 2u);
  EXPECT_EQ(result->layers[0].file_bytes, 3u);
  EXPECT_EQ(result->layers[1].file_bytes, 5u);
  ASSERT_EQ(result->outputs.size(), 1u);
  const std::string image = text("a.erofs");
  EXPECT_EQ(result->outputs[0].bytes, image.size());
  EXPECT_EQ(result->outputs[0].digest, image::content::sha256_of(image));
  EXPECT_EQ(result->outputs[0].devices, (std::vector<std::uint32_t>{0, 1}));
  for (const char* name : {"a0.tar", "a.erofs"}) {
    struct stat info{};
    ASSERT_EQ(::stat(path(name).c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777, 0400u) << name;
  }
}

TEST_F(Convert, a_tar_that_is_there_gives_the_same_image) {
  ConvertJob job = two_layers("a", ConvertForm::merged);
  const auto first = convert(job);
  ASSERT_OK(first);
  job.outputs = {path("b.erofs")};
  for (ConvertJob::LayerIn& layer : job.layers) {
    layer.tar_is_there = true;
    layer.blob_path.clear();
  }
  const auto second = convert(job);
  ASSERT_OK(second);
  EXPECT_EQ(first->outputs[0].digest, second->outputs[0].digest);
  EXPECT_EQ(first->layers[1].entries, second->layers[1].entries);
}

TEST_F(Convert, an_index_names_the_tars_it_needs) {
  ConvertJob job = two_layers("a", ConvertForm::index);
  job.layers.push_back(layer("a2", TarWriter().hard_link("h", "d/f").finish()));
  job.outputs = {path("0.erofs"), "", path("2.erofs")};
  const auto result = convert(job);
  ASSERT_OK(result);
  ASSERT_EQ(result->outputs.size(), 3u);
  EXPECT_EQ(result->outputs[0].devices, (std::vector<std::uint32_t>{0}));
  EXPECT_FALSE(result->outputs[1].digest);
  EXPECT_EQ(result->outputs[2].devices, (std::vector<std::uint32_t>{0, 2}));
}

TEST_F(Convert, a_full_image_needs_none) {
  const auto result = convert(two_layers("a", ConvertForm::full));
  ASSERT_OK(result);
  EXPECT_TRUE(result->outputs[0].devices.empty());
  EXPECT_THAT(text("a.erofs"), HasSubstr("12345"));
}

TEST_F(Convert, without_output_the_layers_are_read) {
  ConvertJob job = two_layers("a", ConvertForm::plain);
  job.outputs.clear();
  ASSERT_OK(convert(job));
  EXPECT_EQ(text("a1.tar"), text("a1.blob"));
}

TEST_F(Convert, many_layers_keep_their_order) {
  ConvertJob job{.layers = {}, .form = ConvertForm::full, .outputs = {path("a.erofs")}};
  for (int i = 0; i < 40; ++i)
    job.layers.push_back(
        layer(std::to_string(i), TarWriter().file("top", "layer " + std::to_string(i)).finish()));
  const auto result = convert(job);
  ASSERT_OK(result);
  EXPECT_THAT(text("a.erofs"), HasSubstr("layer 39"));
  EXPECT_THAT(text("a.erofs"), ::testing::Not(HasSubstr("layer 38")));
}

TEST_F(Convert, what_is_wrong_is_named) {
  ConvertJob job = two_layers("a", ConvertForm::merged);
  job.layers[1].diff_id = job.layers[0].diff_id;
  EXPECT_ERROR(convert(job), Errc::InvalidImage, HasSubstr(job.layers[1].digest.str()));

  job = two_layers("b", ConvertForm::merged);
  job.layers[0].size += 1;
  EXPECT_ERROR(convert(job), Errc::InvalidImage, HasSubstr("bytes"));

  job = two_layers("c", ConvertForm::merged);
  job.layers.push_back(layer("c2", TarWriter().hard_link("h", "nothing").finish()));
  EXPECT_ERROR(convert(job), Errc::InvalidImage, HasSubstr(job.layers[2].digest.str()));

  job = two_layers("d", ConvertForm::merged);
  job.layers[0].blob_path = path("missing");
  EXPECT_ERROR(convert(job), Errc::LayerError, HasSubstr("missing"));
}

TEST_F(Convert, a_file_in_the_way_is_not_written_over) {
  const ConvertJob job = two_layers("a", ConvertForm::merged);
  ASSERT_OK(sys::write_file_atomic(scratch_->fd(), "a.erofs", "mine", 0644, sys::Durable::no));
  EXPECT_ERROR(convert(job), Errc::LayerError, HasSubstr("a.erofs"));
  EXPECT_EQ(text("a.erofs"), "mine");
}

}  // namespace
}  // namespace nexcage::layerfs::convert
