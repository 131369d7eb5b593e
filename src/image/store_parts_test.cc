#include "nexcage/image/catalog.h"
#include "nexcage/image/helper.h"
#include "nexcage/image/import.h"
#include "nexcage/image/load.h"
#include "nexcage/image/sha256.h"
#include "nexcage/image/verify.h"
#include "nexcage/image/view.h"
#include "result_matchers.h"

namespace nexcage::image {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

oci::Digest digest_of(char digit) {
  return oci::Digest::from_hex("sha256", std::string(64, digit));
}

oci::Descriptor manifest_of(char digit) {
  return {.media_type = std::string(oci::media::kManifest),
          .digest = digest_of(digit),
          .size = 10,
          .platform = std::nullopt,
          .annotations = {},
          .artifact_type = {},
          .document = {}};
}

oci::Reference reference_of(std::string_view text) { return oci::Reference::parse(text).value(); }

oci::Index index_of(const std::vector<std::pair<std::string, char>>& names) {
  oci::Index index;
  for (const auto& [name, digit] : names)
    index = with_name(std::move(index), reference_of(name), manifest_of(digit));
  return index;
}

std::vector<std::string> texts(const std::vector<oci::Reference>& names) {
  std::vector<std::string> out;
  out.reserve(names.size());
  for (const oci::Reference& name : names) out.push_back(name.str());
  return out;
}

/// The image whose manifest is aaa... has the ID fff..., and so on.
/// The entry ddd... is an index, whose manifest for this machine is eee...
std::optional<Identity> fake_identity(const oci::Descriptor& entry) {
  if (entry.digest == digest_of('a')) return Identity{digest_of('a'), digest_of('f')};
  if (entry.digest == digest_of('d')) return Identity{digest_of('e'), digest_of('0')};
  return std::nullopt;
}

TEST(Sha256, Fips180Examples) {
  EXPECT_EQ(sha256_digest("").hex(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_digest("abc").hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq").hex(),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256_digest(std::string(1'000'000, 'a')).hex(),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(ChainIds, FirstIsTheDiffIdThenHashesOfPairs) {
  auto chain = chain_ids({digest_of('1'), digest_of('2')});
  ASSERT_EQ(chain.size(), 2u);
  EXPECT_EQ(chain[0], digest_of('1'));
  EXPECT_EQ(chain[1], sha256_digest(digest_of('1').str() + " " + digest_of('2').str()));
  EXPECT_TRUE(chain_ids({}).empty());
}

TEST(Catalog, OneDescriptorPerName) {
  oci::Index index = index_of({{"a", 'a'}, {"b:1", 'a'}, {"c", 'b'}});
  EXPECT_EQ(index.manifests.size(), 3u);
  EXPECT_THAT(texts(names_of(index, digest_of('a'))),
              ElementsAre("docker.io/library/a:latest", "docker.io/library/b:1"));
  EXPECT_EQ(index.manifests[0].annotations.at(std::string(kRefName)), "docker.io/library/a:latest");
}

TEST(Catalog, AReplacedImageStaysWithoutName) {
  oci::Index index = index_of({{"a", 'a'}, {"a", 'b'}});
  EXPECT_TRUE(names_of(index, digest_of('a')).empty());
  EXPECT_TRUE(has_manifest(index, digest_of('a')));
  index = with_name(std::move(index), reference_of("old"), manifest_of('a'));
  EXPECT_EQ(index.manifests.size(), 2u) << "the bare descriptor goes when a name comes";
}

TEST(Catalog, NamesGoOneByOneAndTheManifestWithTheLast) {
  oci::Index index = index_of({{"a", 'a'}, {"b", 'a'}});
  index = without_name(std::move(index), reference_of("a"));
  EXPECT_TRUE(has_manifest(index, digest_of('a')));
  index = without_name(std::move(index), reference_of("b"));
  EXPECT_FALSE(has_manifest(index, digest_of('a')));
}

TEST(FindImage, ByNameDigestAndPrefix) {
  oci::Index index = index_of({{"a", 'a'}, {"localhost/own:1", 'b'}, {"r.io:5000/x/y:2", 'c'}});
  auto found = [&](std::string_view what) -> std::string {
    auto match = find_image(index, what, fake_identity);
    return match ? std::string(match->descriptor.digest.hex().substr(0, 1))
                 : std::string(errc_name(match.error().code()));
  };
  EXPECT_EQ(found("a"), "a");
  EXPECT_EQ(found("docker.io/library/a:latest"), "a");
  EXPECT_EQ(found("own:1"), "b") << "short names are looked for under localhost/, too";
  EXPECT_EQ(found("r.io:5000/x/y:2"), "c");
  EXPECT_EQ(found("sha256:" + std::string(64, 'f')), "a") << "by ID";
  EXPECT_EQ(found(std::string(64, 'f')), "a");
  EXPECT_EQ(found("sha256:" + std::string(64, 'c')), "c") << "by manifest digest";
  EXPECT_EQ(found("bbbb"), "b");
  EXPECT_EQ(found("bbb"), "ImageNotFound") << "too short for a prefix";
  EXPECT_EQ(found("a@sha256:" + std::string(64, 'a')), "a");
  EXPECT_EQ(found("a@sha256:" + std::string(64, 'b')), "ImageNotFound");
  EXPECT_EQ(found("missing"), "ImageNotFound");
  EXPECT_EQ(found("docker.io/own:1"), "ImageNotFound");
  EXPECT_EQ(found("NOT A NAME"), "InvalidSpec");
}

TEST(FindImage, AnIndexIsKnownByItsManifestToo) {
  oci::Index index = index_of({{"multi:1", 'd'}, {"direct:1", 'e'}});
  auto found = [&](std::string_view what) {
    auto match = find_image(index, what, fake_identity);
    return match ? std::string(match->descriptor.digest.hex().substr(0, 1)) : std::string();
  };
  const std::string sha = "sha256:";
  EXPECT_EQ(found("multi@" + sha + std::string(64, 'd')), "d");
  EXPECT_EQ(found("multi@" + sha + std::string(64, 'e')), "d");
  EXPECT_EQ(found(sha + std::string(64, 'd')), "d");
  EXPECT_EQ(found(sha + std::string(64, 'e')), "e") << "what is listed itself goes first";
  EXPECT_EQ(found(sha + std::string(64, '0')), "d") << "by ID";
  index = without_name(std::move(index), reference_of("direct:1"));
  EXPECT_EQ(found(sha + std::string(64, 'e')), "d");
}

TEST(FindImage, AnAmbiguousPrefixIsRefused) {
  oci::Index index = index_of({{"x", 'a'}});
  oci::Descriptor twin = manifest_of('a');
  twin.digest = oci::Digest::from_hex("sha256", std::string(63, 'a') + "b");
  index = with_name(std::move(index), reference_of("y"), twin);
  EXPECT_ERROR(find_image(index, "aaaa", fake_identity), Errc::ImageNotFound,
               HasSubstr("several images"));
}

TEST(PlanViews, ADirectoryPerNameUnlessItLiesAroundAnother) {
  oci::Index index =
      index_of({{"a:b", 'a'}, {"a/b:c", 'b'}, {"docker.io/a/b:c", 'b'}, {"host:5000/x:1", 'c'}});
  std::vector<std::string> paths;
  for (const auto& [path, manifest] : plan_views(index)) paths.push_back(path);
  EXPECT_THAT(paths, ElementsAre("docker.io/a/b/c", "docker.io/library/a/b", "host:5000/x/1"));
  index = with_name(std::move(index), reference_of("docker.io/a:b"), manifest_of('d'));
  EXPECT_FALSE(plan_views(index).contains("docker.io/a/b")) << "docker.io/a/b/c lies below it";
}

TEST(ParseSource, TransportsOfSkopeo) {
  auto parsed = [](std::string_view text) -> std::string {
    auto source = parse_source(text);
    return source ? source->path + "|" + source->reference : "error";
  };
  EXPECT_EQ(parsed("oci:/dir"), "/dir|");
  EXPECT_EQ(parsed("oci:/dir:tag"), "/dir|tag");
  EXPECT_EQ(parsed("oci-archive:f.tar:v1"), "f.tar|v1");
  EXPECT_EQ(parsed("docker-archive:f.tar:host:5000/a:1"), "f.tar|host:5000/a:1");
  EXPECT_EQ(parsed("rootfs:/a:b.tar.gz"), "/a:b.tar.gz|");
  EXPECT_EQ(parsed("/dir"), "error");
  EXPECT_EQ(parsed("oci:"), "error");
  EXPECT_EQ(parsed("oci:/dir:"), "error");
  EXPECT_ERROR(parse_source("docker://x"), Errc::InvalidSpec, HasSubstr("unknown transport"));
}

TEST(Messages, RequestSurvivesTheWay) {
  ImportRequest request{.source = parse_source("docker-archive:f:a/b:1").value(),
                        .name = reference_of("x:2"),
                        .rootfs = {.entrypoint = {"/init", "--now"},
                                   .cmd = {},
                                   .env = {"A=b"},
                                   .user = "1:2",
                                   .working_dir = "/w"}};
  auto back = parse_import_request(to_json(request));
  ASSERT_OK(back);
  EXPECT_EQ(back->source.str(), "docker-archive:f:a/b:1");
  EXPECT_EQ(back->name, reference_of("x:2"));
  EXPECT_THAT(back->rootfs.entrypoint, ElementsAre("/init", "--now"));
  EXPECT_THAT(back->rootfs.env, ElementsAre("A=b"));
  EXPECT_EQ(back->rootfs.user, "1:2");
  EXPECT_EQ(back->rootfs.working_dir, "/w");
}

TEST(Messages, ErrorSurvivesTheWay) {
  Error error = Error::from_errno(ENOSPC, "write blob");
  error = Error(error).wrap("layer 1").wrap("import x").hint("make room");
  Error back = error_from_json(error_to_json(error));
  EXPECT_EQ(back.message(), error.message());
  EXPECT_EQ(back.code(), Errc::FileError);
  EXPECT_EQ(back.sys_errno(), ENOSPC);
  EXPECT_EQ(back.hint(), "make room");
}

TEST(Messages, ReportSurvivesTheWay) {
  VerifyReport report{.manifest = digest_of('a'), .names = {reference_of("x")}, .blobs = {}};
  report.blobs.push_back(
      {.what = "layer 0", .digest = digest_of('b'), .size = 7, .error = std::nullopt});
  EXPECT_TRUE(report.ok());
  report.blobs.push_back({.what = "layer 1",
                          .digest = digest_of('c'),
                          .size = 8,
                          .error = Error(Errc::InvalidImage, "bad")});
  auto back = parse_verify_report(to_json(report));
  ASSERT_OK(back);
  EXPECT_FALSE(back->ok());
  ASSERT_EQ(back->blobs.size(), 2u);
  EXPECT_EQ(back->blobs[0].size, 7u);
  EXPECT_FALSE(back->blobs[0].error.has_value());
  EXPECT_EQ(back->blobs[1].error->message(), "bad");
  EXPECT_THAT(texts(back->names), ElementsAre("docker.io/library/x:latest"));
}

TEST(MatchLayers, NumbersAndTypesMustFit) {
  oci::Descriptor layer = manifest_of('1');
  layer.media_type = oci::media::kLayerGzip;
  oci::Manifest manifest{.media_type = {},
                         .config = manifest_of('c'),
                         .layers = {layer},
                         .annotations = {},
                         .subject = std::nullopt};
  oci::ImageConfig config;
  EXPECT_ERROR(match_layers(manifest, config), Errc::InvalidImage, HasSubstr("1 layers"));
  config.diff_ids = {digest_of('d')};
  auto layers = match_layers(manifest, config);
  ASSERT_OK(layers);
  EXPECT_EQ(layers->front().compression, oci::Compression::gzip);
  manifest.layers.push_back(layer);
  config.diff_ids.push_back(digest_of('d'));
  EXPECT_OK(match_layers(manifest, config));
  config.diff_ids.back() = digest_of('e');
  EXPECT_ERROR(match_layers(manifest, config), Errc::InvalidImage, HasSubstr("two diff IDs"));
  manifest.layers.pop_back();
  config.diff_ids.pop_back();
  manifest.layers[0].media_type = "application/x-unknown";
  EXPECT_ERROR(match_layers(manifest, config), Errc::InvalidImage, HasSubstr("no layer we can"));
}

}  // namespace
}  // namespace nexcage::image
