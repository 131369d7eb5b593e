#include "nexcage/registry/client/documents.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "result_matchers.h"

namespace nexcage::registry::client {
namespace {

using testing::HasSubstr;

json::Value parse(std::string_view text) { return json::parse(text).value(); }
const std::string kOwn = R"({"schemaVersion": 2, "mediaType": ")";

TEST(ManifestType, header_and_document_agree) {
  const std::string manifest(oci::media::kManifest);
  EXPECT_EQ(*manifest_type(manifest, parse(kOwn + manifest + "\"}")), manifest);
  EXPECT_EQ(*manifest_type("Application/VND.oci.image.manifest.v1+json; charset=utf-8",
                           parse(R"({"schemaVersion": 2})")),
            manifest);
  EXPECT_EQ(*manifest_type("text/plain", parse(kOwn + manifest + "\"}")), manifest);
  EXPECT_ERROR(manifest_type(oci::media::kIndex, parse(kOwn + manifest + "\"}")),
               Errc::InvalidImage, HasSubstr("the document itself"));
}

TEST(ManifestType, without_a_word_the_members_tell) {
  EXPECT_EQ(*manifest_type("", parse(R"({"schemaVersion": 2, "manifests": []})")),
            oci::media::kIndex);
  EXPECT_EQ(*manifest_type("application/json", parse(R"({"schemaVersion": 2, "layers": []})")),
            oci::media::kManifest);
}

TEST(ManifestType, schema_1_and_strangers_are_refused) {
  EXPECT_ERROR(
      manifest_type("application/vnd.docker.distribution.manifest.v1+prettyjws", parse("{}")),
      Errc::Unsupported, HasSubstr("schema 1"));
  EXPECT_ERROR(manifest_type("", parse(R"({"schemaVersion": 1})")), Errc::Unsupported,
               HasSubstr("schema 1"));
  EXPECT_ERROR(manifest_type("", parse(kOwn + "text/html\"}")), Errc::InvalidImage,
               HasSubstr("text/html"));
}

}  // namespace
}  // namespace nexcage::registry::client
