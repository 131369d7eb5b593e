#include "nexcage/oci/image.h"

#include "nexcage/oci/spec_testing.h"
#include "result_matchers.h"

namespace nexcage::oci {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;

std::string digest(char c) { return "sha256:" + std::string(64, c); }

std::string descriptor(std::string_view type, char c, std::string_view more = "") {
  return R"({"mediaType":")" + std::string(type) + R"(","digest":")" + digest(c) + R"(","size":7)" +
         std::string(more) + "}";
}

json::Value manifest() {
  return document(R"({"schemaVersion":2,"mediaType":")" + std::string(media::kManifest) +
                  R"(","config":)" + descriptor(media::kConfig, '1') + R"(,"layers":[)" +
                  descriptor(media::kLayerGzip, '2') + "," + descriptor(media::kLayerZstd, '3') +
                  "]}");
}

json::Value index() {
  return document(R"({"schemaVersion":2,"manifests":[)" + descriptor(media::kManifest, '1') + "]}");
}

json::Value with(json::Value base, std::string_view path, std::string_view text) {
  put(base, path, document(text));
  return base;
}

TEST(Manifest, Parses) {
  const auto parsed =
      parse_manifest(with(with(manifest(), "annotations", R"({"a":"b"})"), "subject",
                          descriptor(media::kManifest, '4', R"(,"artifactType":"a/b")")));
  ASSERT_OK(parsed);
  EXPECT_EQ(parsed->media_type, media::kManifest);
  EXPECT_EQ(parsed->config.digest.str(), digest('1'));
  ASSERT_EQ(parsed->layers.size(), 2u);
  EXPECT_EQ(parsed->layers[1].media_type, media::kLayerZstd);
  EXPECT_EQ(parsed->layers[1].size, 7u);
  EXPECT_EQ(parsed->subject->artifact_type, "a/b");
  EXPECT_EQ(parsed->annotations.at("a"), "b");
}

TEST(Manifest, MediaTypeMayBeAbsentOrDockers) {
  auto parsed = parse_manifest(with(manifest(), "mediaType", "null"));
  ASSERT_OK(parsed);
  EXPECT_EQ(parsed->media_type, media::kManifest);
  const std::string docker = json::dump(json::Value(media::kDockerManifest));
  parsed = parse_manifest(with(manifest(), "mediaType", docker));
  ASSERT_OK(parsed);
  EXPECT_EQ(parsed->media_type, media::kDockerManifest);
}

TEST(Manifest, AmbiguousDocumentsAreRefused) {
  EXPECT_ERROR(parse_manifest(with(manifest(), "manifests", "[]")), Errc::InvalidImage,
               StartsWith("/manifests: belongs to a document of another kind"));
  EXPECT_ERROR(parse_index(with(index(), "layers", "[]")), Errc::InvalidImage,
               StartsWith("/layers: belongs"));
  EXPECT_ERROR(parse_index(with(index(), "config", "{}")), Errc::InvalidImage,
               StartsWith("/config: belongs"));
  const std::string index_type = json::dump(json::Value(media::kIndex));
  EXPECT_ERROR(parse_manifest(with(manifest(), "mediaType", index_type)), Errc::InvalidImage,
               StartsWith("/mediaType: unknown value"));
  const std::string manifest_type = json::dump(json::Value(media::kManifest));
  EXPECT_ERROR(parse_index(with(index(), "mediaType", manifest_type)), Errc::InvalidImage,
               StartsWith("/mediaType: unknown value"));
}

TEST(Manifest, RefusalsNameTheField) {
  const auto refused = [](std::string_view path, std::string_view text, const char* message) {
    EXPECT_ERROR(parse_manifest(with(manifest(), path, text)), Errc::InvalidImage,
                 StartsWith(message));
  };
  refused("schemaVersion", "1", "/schemaVersion: schema 1");
  refused("schemaVersion", "3", "/schemaVersion: must be");
  refused("config", "null", "/config: must be an object");
  refused("layers", "null", "/layers: is missing");
  refused("layers", R"([{"mediaType":"x","size":1}])", "/layers/0/digest: is missing");
  refused("layers", R"([{"mediaType":"x","size":1,"digest":"sha256:zz"}])",
          "/layers/0/digest: digest \"sha256:zz\" has 2 digits");
  refused("config/size", "-1", "/config/size: must be an integer from 0");
  refused("config/size", "9223372036854775808", "/config/size: must be an integer from 0");
  refused("config/mediaType", R"("")", "/config/mediaType: must not be empty");
  refused("annotations", R"({"a":1})", "/annotations/a: must be a string");
  EXPECT_ERROR(parse_manifest(document("[]")), Errc::InvalidImage,
               "/: must be an object, is an array");
}

TEST(Index, KeepsUnknownFieldsWhenWritten) {
  const json::Value value = document(
      R"({"schemaVersion":2,"mediaType":")" + std::string(media::kIndex) + R"(","manifests":[)" +
      descriptor(media::kManifest, '1',
                 R"(,"platform":{"architecture":"arm","os":"linux","variant":"v7"},
                     "annotations":{"b":"2","a":"1"},"urls":["u"],"x":{"y":1})") +
      R"(],"annotations":{"k":"v"},"artifactType":"t","x-top":[1]})");
  const auto parsed = parse_index(value);
  ASSERT_OK(parsed);
  EXPECT_EQ(to_json(*parsed), value);
}

TEST(Index, AMadeOneIsComplete) {
  const auto one = parse_descriptor(document(descriptor(media::kManifest, '5')), "/x");
  ASSERT_OK(one);
  Index made;
  made.manifests.push_back(*one);
  made.annotations["k"] = "v";
  const auto again = parse_index(to_json(made));
  ASSERT_OK(again);
  EXPECT_EQ(again->media_type, media::kIndex);
  EXPECT_EQ(again->manifests[0].digest, one->digest);
  EXPECT_EQ(again->annotations.at("k"), "v");
}

TEST(Descriptor, PointerBeginsAtTheGivenPlace) {
  EXPECT_ERROR(parse_descriptor(document("{}"), "/layers/2"), Errc::InvalidImage,
               "/layers/2/mediaType: is missing");
}

json::Value config() {
  return document(R"({"architecture":"amd64","os":"linux","created":"2024-01-01T00:00:00Z",
    "config":{"User":"www","Env":["A=b"],"Entrypoint":["/e"],"Cmd":null,
     "Volumes":{"/data":{},"/a":{}},"WorkingDir":"/w","Labels":{"l":"x\ny"},"StopSignal":"SIGINT",
     "ExposedPorts":{"80/tcp":{}}},
    "rootfs":{"type":"layers","diff_ids":[")" +
                  digest('a') + R"("]},"history":[{"x":1}]})");
}

TEST(ImageConfig, Parses) {
  const auto parsed = parse_image_config(config());
  ASSERT_OK(parsed);
  EXPECT_EQ(parsed->platform.architecture, "amd64");
  EXPECT_EQ(parsed->config.user, "www");
  EXPECT_THAT(parsed->config.env, ElementsAre("A=b"));
  EXPECT_TRUE(parsed->config.cmd.empty());
  EXPECT_THAT(parsed->config.volumes, ElementsAre("/a", "/data"));
  EXPECT_THAT(parsed->config.exposed_ports, ElementsAre("80/tcp"));
  EXPECT_EQ(parsed->config.labels.at("l"), "x\ny");
  ASSERT_EQ(parsed->diff_ids.size(), 1u);
  EXPECT_EQ(parsed->document, config());
}

TEST(ImageConfig, RefusalsNameTheField) {
  const auto refused = [](std::string_view path, std::string_view text, const char* message) {
    EXPECT_ERROR(parse_image_config(with(config(), path, text)), Errc::InvalidImage,
                 StartsWith(message));
  };
  refused("os", "null", "/os: is missing");
  refused("rootfs", "null", "/rootfs: is missing");
  refused("rootfs/type", R"("foreign")", "/rootfs/type: unknown value");
  refused("rootfs/diff_ids", R"(["sha256:1"])", "/rootfs/diff_ids/0: digest");
  refused("config/Env", R"(["A=1","B\u001b=2"])", "/config/Env/1: must not hold control");
  refused("config/Env", R"(["A=\u0000"])", "/config/Env/0: must not hold NUL");
  refused("config/User", R"("a\nb")", "/config/User: must not hold control");
  refused("config/WorkingDir", R"("/a\nb")", "/config/WorkingDir: must not hold control");
  refused("config/Entrypoint", R"("sh")", "/config/Entrypoint: must be an array, is a string");
  refused("config/Volumes", R"({"/a\nb":{}})", "\"/config/Volumes/~1a\\nb\": name must not hold");
  refused("config/Volumes", R"({"/a":[]})", "/config/Volumes/~1a: must be an object");
}

TEST(LayerCompression, OfMediaTypes) {
  EXPECT_EQ(layer_compression(media::kLayerTar), Compression::none);
  EXPECT_EQ(layer_compression(media::kDockerLayerGzip), Compression::gzip);
  EXPECT_EQ(layer_compression(media::kLayerZstd), Compression::zstd);
  EXPECT_EQ(layer_compression("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"),
            Compression::gzip);
  EXPECT_EQ(layer_compression(media::kConfig), std::nullopt);
  EXPECT_EQ(layer_compression(""), std::nullopt);
}

Index platforms(std::initializer_list<Platform> list) {
  Index made;
  for (const Platform& platform : list) {
    const auto one = parse_descriptor(document(descriptor(media::kManifest, '5')));
    made.manifests.push_back(*one);
    made.manifests.back().platform = platform;
  }
  return made;
}

Platform on(const char* architecture, const char* variant = "", const char* os = "linux") {
  return {architecture, os, variant, {}, {}};
}

/// The position of the chosen entry, -1 for none.
long chosen(const Index& list, const Platform& wanted) {
  const Descriptor* found = choose_platform(list, wanted);
  return found == nullptr ? -1 : found - list.manifests.data();
}

TEST(ChoosePlatform, WantsOsAndArchitectureExactly) {
  const Index list = platforms({on("unknown", "", "unknown"), on("amd64", "", "windows"),
                                on("arm64"), on("amd64"), on("amd64")});
  EXPECT_EQ(chosen(list, on("amd64")), 3);
  EXPECT_EQ(chosen(list, on("arm64", "v8")), 2);
  EXPECT_EQ(chosen(list, on("riscv64")), -1);
  EXPECT_EQ(chosen(Index(), on("amd64")), -1);
}

TEST(ChoosePlatform, TakesTheBestVariantThatRuns) {
  const Index arm = platforms({on("arm", "v5"), on("arm", "v7"), on("arm", "v6"), on("arm", "v8")});
  EXPECT_EQ(chosen(arm, on("arm", "v7")), 1);
  EXPECT_EQ(chosen(arm, on("arm")), 1);
  EXPECT_EQ(chosen(arm, on("arm", "v6")), 2);
  EXPECT_EQ(chosen(platforms({on("arm", "v5"), on("arm", "v6")}), on("arm", "v7")), 1);
  EXPECT_EQ(chosen(platforms({on("amd64", "v3")}), on("amd64")), -1);
  EXPECT_EQ(chosen(platforms({on("amd64"), on("amd64", "v2")}), on("amd64", "v3")), 1);
  EXPECT_EQ(chosen(platforms({on("arm64", "odd")}), on("arm64", "v8")), -1);
}

TEST(ChoosePlatform, EntriesWithoutPlatformAreNoChoice) {
  Index list = platforms({on("amd64")});
  list.manifests[0].platform.reset();
  EXPECT_EQ(chosen(list, on("amd64")), -1);
}

TEST(HostPlatform, IsLinux) {
  EXPECT_EQ(host_platform().os, "linux");
  EXPECT_FALSE(host_platform().architecture.empty());
  EXPECT_EQ(chosen(platforms({host_platform()}), host_platform()), 0);
}

}  // namespace
}  // namespace nexcage::oci
