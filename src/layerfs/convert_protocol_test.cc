#include "nexcage/layerfs/convert_protocol.h"

#include <string>

#include "result_matchers.h"

namespace nexcage::layerfs {
namespace {

using ::testing::HasSubstr;

oci::Digest digest_of(char digit) {
  return oci::Digest::from_hex("sha256", std::string(64, digit));
}

ConvertJob make_job() {
  return {.layers = {{.blob_path = "/store/a",
                      .compression = oci::Compression::zstd,
                      .digest = digest_of('a'),
                      .diff_id = digest_of('b'),
                      .size = 12,
                      .tar_path = "/scratch/a/tar",
                      .tar_is_there = false},
                     {.blob_path = "",
                      .compression = oci::Compression::none,
                      .digest = digest_of('c'),
                      .diff_id = digest_of('d'),
                      .size = 5'000'000'000,
                      .tar_path = "/layers/b/tar",
                      .tar_is_there = true}},
          .form = ConvertForm::index,
          .outputs = {"", "/scratch/c/index"}};
}

TEST(ConvertProtocol, JobComesBackAsItWas) {
  const ConvertJob job = make_job();
  const auto back = convert_job_from_json(to_json(job));
  ASSERT_OK(back);
  EXPECT_EQ(back->form, job.form);
  EXPECT_EQ(back->outputs, job.outputs);
  ASSERT_EQ(back->layers.size(), 2u);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(back->layers[i].blob_path, job.layers[i].blob_path);
    EXPECT_EQ(back->layers[i].compression, job.layers[i].compression);
    EXPECT_EQ(back->layers[i].digest, job.layers[i].digest);
    EXPECT_EQ(back->layers[i].diff_id, job.layers[i].diff_id);
    EXPECT_EQ(back->layers[i].size, job.layers[i].size);
    EXPECT_EQ(back->layers[i].tar_path, job.layers[i].tar_path);
    EXPECT_EQ(back->layers[i].tar_is_there, job.layers[i].tar_is_there);
  }
}

TEST(ConvertProtocol, ResultComesBackAsItWas) {
  const ConvertResult result{
      .layers = {{.tar_bytes = 1, .entries = 2, .file_bytes = 3, .root_opaque = true}},
      .outputs = {{.digest = digest_of('e'), .bytes = 4, .devices = {0, 3}}, {}}};
  const auto back = convert_result_from_json(to_json(result));
  ASSERT_OK(back);
  ASSERT_EQ(back->layers.size(), 1u);
  EXPECT_EQ(back->layers[0].tar_bytes, 1u);
  EXPECT_EQ(back->layers[0].entries, 2u);
  EXPECT_EQ(back->layers[0].file_bytes, 3u);
  EXPECT_TRUE(back->layers[0].root_opaque);
  ASSERT_EQ(back->outputs.size(), 2u);
  EXPECT_EQ(back->outputs[0].digest, digest_of('e'));
  EXPECT_EQ(back->outputs[0].bytes, 4u);
  EXPECT_EQ(back->outputs[0].devices, (std::vector<std::uint32_t>{0, 3}));
  EXPECT_FALSE(back->outputs[1].digest);
}

TEST(ConvertProtocol, NumberOfOutputsFollowsTheForm) {
  ConvertJob job = make_job();
  for (const ConvertForm form : {ConvertForm::merged, ConvertForm::full, ConvertForm::plain}) {
    job.form = form;
    EXPECT_ERROR(convert_job_from_json(to_json(job)), Errc::InvalidJson, HasSubstr("/outputs"));
  }
  job.outputs.clear();
  EXPECT_OK(convert_job_from_json(to_json(job)));
}

TEST(ConvertProtocol, OffendingMemberIsNamed) {
  json::Value value = to_json(make_job());
  (*value.if_object()->find("layers")->if_array())[1].if_object()->set("size", "5");
  EXPECT_ERROR(convert_job_from_json(value), Errc::InvalidJson,
               HasSubstr("convert: /layers/1/size is missing or wrong"));
}

}  // namespace
}  // namespace nexcage::layerfs
