// The image store through its helper, with images that umoci and skopeo made: every source, every
// kind of damage, imports side by side, and a full disk.
#include <sys/mount.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "image_fixture.h"
#include "nexcage/image/verify.h"

namespace nexcage::image {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class ImageStore : public ImageStoreTest {};

TEST_F(ImageStore, ImportsAnOciLayoutAndOtherToolsReadTheStore) {
  auto image = import("oci:" + path("layout:app"));
  ASSERT_OK(image);
  EXPECT_THAT(image->layers, SizeIs(2));
  ASSERT_THAT(image->names, SizeIs(1));
  EXPECT_EQ(image->names[0].str(), kName);
  std::string text = output_of({"skopeo", "inspect", "oci:" + root() + ":" + std::string(kName)});
  EXPECT_THAT(text, HasSubstr(image->layers[0].blob.digest.str()));
  EXPECT_EQ(output_of({"umoci", "ls", "--layout", root()}), std::string(kName) + "\n");
  expect_no_garbage();
}

TEST_F(ImageStore, NameViewShowsTheImage) {
  auto image = import("oci:" + path("layout:app"));
  ASSERT_OK(image);
  std::string view = root() + "/example.org:5000/demo/app/1";
  auto same_file = [&](const std::string& link, const oci::Digest& digest) {
    struct stat a{}, b{};
    EXPECT_EQ(::stat((view + "/" + link).c_str(), &a), 0) << link;
    EXPECT_EQ(::stat(blob_file(digest, "store").c_str(), &b), 0);
    EXPECT_EQ(a.st_ino, b.st_ino) << link;
  };
  same_file("manifest.json", image->manifest_descriptor.digest);
  same_file("config.json", image->manifest.config.digest);
  same_file("layers/0.tar.gz", image->layers[0].blob.digest);
  same_file("layers/1.tar.gz", image->layers[1].blob.digest);
  ASSERT_OK(store().remove(kName));
  EXPECT_EQ(::access((root() + "/example.org:5000").c_str(), F_OK), -1);
}

TEST_F(ImageStore, ImportsWhatSkopeoWrites) {
  std::string source = "oci:" + path("layout:app");
  output_of({"skopeo", "copy", "-q", source, "oci-archive:" + path("a.tar") + ":app"});
  output_of({"skopeo", "copy", "-q", source, "docker-archive:" + path("d.tar") + ":demo:2"});
  output_of({"skopeo", "copy", "-q", "--dest-compress", "--dest-compress-format", "zstd", source,
             "oci:" + path("z") + ":app"});
  output_of({"gzip", "-k", path("d.tar")});
  auto plain = import("oci:" + path("layout:app"));
  ASSERT_OK(plain);
  for (const std::string& from :
       {"oci-archive:" + path("a.tar"), "docker-archive:" + path("d.tar"),
        "docker-archive:" + path("d.tar") + ":demo:2", "docker-archive:" + path("d.tar.gz"),
        "oci:" + path("z") + ":app"}) {
    auto image = import(from, std::nullopt);
    ASSERT_OK(image);
    ASSERT_THAT(image->layers, SizeIs(2));
    EXPECT_EQ(image->layers[0].diff_id, plain->layers[0].diff_id) << from;
    ASSERT_FALSE(image->names.empty());
    std::string name = image->names.back().str();
    EXPECT_THAT(name, AnyOf("localhost/a:app", "docker.io/library/demo:2", "localhost/z:app"));
    auto report = verify_image(name, store(), NEXCAGE_TEST_LIBEXEC);
    ASSERT_OK(report);
    EXPECT_TRUE(report->ok()) << from;
  }
  expect_no_garbage();
}

TEST_F(ImageStore, ImportsARootFileSystem) {
  output_of({"tar", "-C", path("tree"), "-cf", path("r.tar"), "."});
  output_of({"gzip", "-k", path("r.tar")});
  output_of({"zstd", "-q", path("r.tar"), "-o", path("r.tar.zst")});
  for (const std::string file : {"r.tar", "r.tar.gz", "r.tar.zst"}) {
    ImportRequest request{.source = parse_source("rootfs:" + path(file)).value(),
                          .name = std::nullopt,
                          .rootfs = {.entrypoint = {"/bin/busybox"},
                                     .cmd = {"sh"},
                                     .env = {"A=1"},
                                     .user = "1000",
                                     .working_dir = "/tmp"}};
    auto image = import_image(request, NEXCAGE_TEST_LIBEXEC, store());
    ASSERT_OK(image);
    EXPECT_EQ(image->names.at(0).str(), "localhost/r:latest");
    EXPECT_THAT(image->config.config.entrypoint, ElementsAre("/bin/busybox"));
    EXPECT_THAT(image->config.config.cmd, ElementsAre("sh"));
    EXPECT_THAT(image->config.config.env, ElementsAre(HasSubstr("PATH=/usr"), "A=1"));
    EXPECT_EQ(image->config.config.user, "1000");
    EXPECT_EQ(image->config.config.working_dir, "/tmp");
  }
  EXPECT_ERROR(import("rootfs:/etc/passwd"), Errc::InvalidImage, HasSubstr("tar at byte 0"));
}

TEST_F(ImageStore, WhatIsNotThereIsNotFound) {
  EXPECT_ERROR(import("oci:" + path("layout:other")), Errc::ImageNotFound, HasSubstr("other"));
  EXPECT_ERROR(import("oci:" + path("nowhere")), Errc::ImageNotFound, HasSubstr("nowhere"));
  EXPECT_ERROR(import("docker-archive:" + path("none.tar")), Errc::ImageNotFound,
               HasSubstr("none.tar"));
  EXPECT_ERROR(store().resolve("busybox"), Errc::ImageNotFound, HasSubstr("busybox"));
}

TEST_F(ImageStore, EveryDamageOfTheSourceIsNamedAndLeavesNothing) {
  auto good = import("oci:" + path("layout:app"));
  ASSERT_OK(good);
  ASSERT_OK(store().remove(kName));
  expect_no_garbage();
  struct Case {
    oci::Digest blob;
    std::string what;
  };
  std::vector<Case> cases = {{good->manifest_descriptor.digest, "manifest"},
                             {good->manifest.config.digest, "config"},
                             {good->layers[0].blob.digest, "first layer"},
                             {good->layers[1].blob.digest, "second layer"}};
  for (const Case& one : cases) {
    std::string file = blob_file(one.blob);
    output_of({"cp", file, path("saved")});
    damage(file);
    EXPECT_ERROR(import("oci:" + path("layout:app")), Errc::InvalidImage,
                 HasSubstr(std::string(one.blob.hex())));
    output_of({"truncate", "-s", "-1", file});
    EXPECT_ERROR(import("oci:" + path("layout:app")), Errc::InvalidImage,
                 HasSubstr(std::string(one.blob.hex())));
    ASSERT_EQ(::unlink(file.c_str()), 0);
    EXPECT_ERROR(import("oci:" + path("layout:app")), Errc::InvalidImage,
                 HasSubstr(std::string(one.blob.hex())));
    output_of({"cp", path("saved"), file});
    expect_no_garbage();
  }
  EXPECT_OK(import("oci:" + path("layout:app")));
}

TEST_F(ImageStore, AWrongDiffIdIsFound) {
  output_of({"skopeo", "copy", "-q", "oci:" + path("layout:app"),
             "docker-archive:" + path("d.tar") + ":demo:2"});
  output_of({"mkdir", path("unpacked")});
  output_of({"tar", "-C", path("unpacked"), "-xf", path("d.tar")});
  // The configuration is found by its name in manifest.json, so its own digest does not protect it.
  output_of({"sh", "-c",
             "cd " + path("unpacked") +
                 " && c=$(sed 's/.*\"Config\":\"\\([^\"]*\\)\".*/\\1/' "
                 "manifest.json) && sed -i 's/\"diff_ids\":\\[\"sha256:....../"
                 "\"diff_ids\":[\"sha256:000000/' $c && tar -cf ../wrong.tar *"});
  EXPECT_ERROR(import("docker-archive:" + path("wrong.tar")), Errc::InvalidImage,
               HasSubstr("layer 0"));
  expect_no_garbage();
}

TEST_F(ImageStore, DamageInTheStoreIsReportedAndRepairedByAnImport) {
  auto image = import("oci:" + path("layout:app"));
  ASSERT_OK(image);
  damage(blob_file(image->layers[1].blob.digest, "store"));
  auto report = verify_image(kName, store(), NEXCAGE_TEST_LIBEXEC);
  ASSERT_OK(report);
  EXPECT_FALSE(report->ok());
  ASSERT_THAT(report->blobs, SizeIs(4));
  EXPECT_FALSE(report->blobs[2].error.has_value());
  ASSERT_TRUE(report->blobs[3].error.has_value());
  EXPECT_EQ(report->blobs[3].what, "layer 1");
  EXPECT_EQ(report->blobs[3].error->code(), Errc::InvalidImage);

  ASSERT_OK(import("oci:" + path("layout:app")));
  report = verify_image(kName, store(), NEXCAGE_TEST_LIBEXEC);
  ASSERT_OK(report);
  EXPECT_TRUE(report->ok());

  damage(blob_file(image->manifest.config.digest, "store"));
  EXPECT_ERROR(store().resolve(kName), Errc::InvalidImage,
               HasSubstr(image->manifest.config.digest.str()));
}

TEST_F(ImageStore, TagAndRemove) {
  auto image = import("oci:" + path("layout:app"));
  ASSERT_OK(image);
  auto second = oci::Reference::parse("demo:2").value();
  ASSERT_OK(store().tag(second, image->manifest_descriptor));
  auto removed = store().remove(kName);
  ASSERT_OK(removed);
  EXPECT_THAT(removed->blobs, IsEmpty()) << "the other name still needs them";
  EXPECT_OK(store().resolve("demo:2"));
  EXPECT_ERROR(store().resolve(kName), Errc::ImageNotFound, HasSubstr("app:1"));
  removed = store().remove(image->manifest.config.digest.hex().substr(0, 12));
  ASSERT_OK(removed);
  EXPECT_THAT(removed->names, ElementsAre(second));
  EXPECT_THAT(removed->blobs, SizeIs(4));
  EXPECT_EQ(removed->freed, image->total_size());
  expect_no_garbage();
}

TEST_F(ImageStore, ImportsAndRemovalsSideBySide) {
  std::vector<std::thread> threads;
  std::vector<std::string> failures(8);
  threads.reserve(failures.size());
  for (std::size_t i = 0; i < failures.size(); ++i)
    threads.emplace_back([&, i] {
      std::string name = "side/by:" + std::to_string(i);
      auto image = import("oci:" + path("layout:app"), name);
      if (!image) failures[i] = image.error().message();
      if (image && i % 2 == 1)
        if (auto removed = store().remove(name); !removed) failures[i] = removed.error().message();
    });
  for (std::thread& thread : threads) thread.join();
  for (const std::string& failure : failures) EXPECT_EQ(failure, "");
  for (std::size_t i = 0; i < failures.size(); i += 2)
    EXPECT_OK(store().resolve("side/by:" + std::to_string(i)));
  auto report = verify_image("side/by:0", store(), NEXCAGE_TEST_LIBEXEC);
  ASSERT_OK(report);
  EXPECT_TRUE(report->ok());
  ASSERT_OK(store().remove("side/by:0"));
  for (std::size_t i = 2; i < failures.size(); i += 2)
    ASSERT_OK(store().remove("side/by:" + std::to_string(i)));
  expect_no_garbage();
}

TEST_F(ImageStore, AFullDiskLeavesNothing) {
  std::string small = path("small");
  ASSERT_EQ(::mkdir(small.c_str(), 0755), 0);
  if (::mount("tmpfs", small.c_str(), "tmpfs", 0, "size=256k") != 0)
    GTEST_SKIP() << "needs to mount a tmpfs: " << std::strerror(errno);
  {
    auto full = Store::open(small + "/images", Store::IfMissing::create);
    ASSERT_OK(full);
    store_.emplace(*std::move(full));
  }
  auto image = import("oci:" + path("layout:app"));
  EXPECT_ERROR(image, Errc::FileError, HasSubstr("no space left on device"));
  auto listed = store().list();
  ASSERT_OK(listed);
  EXPECT_THAT(*listed, IsEmpty());
  UniqueFd blobs(::open((small + "/images/blobs/sha256").c_str(), O_RDONLY | O_CLOEXEC));
  UniqueFd tmp(::open((small + "/images/.tmp").c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_THAT(sys::list_dir(blobs.get()).value(), IsEmpty());
  EXPECT_THAT(sys::list_dir(tmp.get()).value(), IsEmpty());
  blobs.reset();
  tmp.reset();
  store_.reset();
  EXPECT_EQ(::umount(small.c_str()), 0);
}

TEST_F(ImageStore, AForeignDirectoryIsNoStore) {
  EXPECT_ERROR(Store::open(path("tree"), Store::IfMissing::create), Errc::ConfigError,
               HasSubstr("no OCI image layout"));
  EXPECT_ERROR(Store::open(path("missing"), Store::IfMissing::fail), Errc::ConfigError,
               HasSubstr("does not exist"));
}

}  // namespace
}  // namespace nexcage::image
