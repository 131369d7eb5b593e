// What tests of the image store share: a layout made by other tools, and a store that the helper
// writes.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "nexcage/image/import.h"
#include "nexcage/image/store.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/process.h"
#include "result_matchers.h"

namespace nexcage::image {

inline constexpr std::string_view kName = "example.org:5000/demo/app:1";

/// Runs a program and gives its output; the test fails when the program does.
inline std::string output_of(const std::vector<std::string>& argv) {
  sys::Command command;
  command.program = "/usr/bin/env";
  command.argv = argv;
  command.argv.insert(command.argv.begin(), "env");
  command.inherit_env = true;
  auto output = sys::run(command, "", std::chrono::seconds(60));
  EXPECT_OK(output);
  if (!output) return "";
  EXPECT_EQ(sys::exit_code(output->status), 0) << argv[0] << ": " << output->err;
  return output->out;
}

/// A scratch directory with an OCI layout made by umoci ({dir}/layout:app) and an empty store.
class ImageStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root: umoci makes layers of root's files";
    auto made = sys::TempDir::create("/tmp", "nx-image");
    ASSERT_OK(made);
    dir_.emplace(*std::move(made));
    make_layout();
    auto store = Store::open(root(), Store::IfMissing::create);
    ASSERT_OK(store);
    store_.emplace(*std::move(store));
  }

  std::string path(const std::string& name) const { return dir_->path() + "/" + name; }
  std::string root() const { return path("store"); }
  Store& store() { return *store_; }

  /// {dir}/layout:app with two gzip layers.
  void make_layout() {
    output_of({"mkdir", "-p", path("tree/bin")});
    output_of({"cp", "/bin/busybox", path("tree/bin/busybox")});
    output_of({"umoci", "init", "--layout", path("layout")});
    output_of({"umoci", "new", "--image", path("layout:app")});
    output_of({"umoci", "insert", "--image", path("layout:app"), path("tree"), "/"});
    output_of({"umoci", "insert", "--image", path("layout:app"), "/etc/hostname", "/etc/hostname"});
    output_of({"umoci", "gc", "--layout", path("layout")});
  }

  Result<Image> import(const std::string& source, std::optional<std::string_view> name = kName) {
    NX_TRY(ImportSource parsed, parse_source(source));
    ImportRequest request{.source = std::move(parsed), .name = std::nullopt, .rootfs = {}};
    if (name) {
      NX_TRY(request.name, oci::Reference::parse(*name));
    }
    return import_image(request, NEXCAGE_TEST_LIBEXEC, store());
  }

  std::string blob_file(const oci::Digest& digest, const std::string& layout = "layout") const {
    return path(layout) + "/" + digest.blob_path();
  }

  /// Names in a directory of the store.
  std::set<std::string> names_in(const std::string& name) {
    UniqueFd fd(::open((root() + "/" + name).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    auto names = sys::list_dir(fd.get());
    EXPECT_OK(names);
    return names ? std::set<std::string>(names->begin(), names->end()) : std::set<std::string>{};
  }

  /// Blobs of the images in the index, and no other, and no temporary file.
  void expect_no_garbage() {
    EXPECT_THAT(names_in(".tmp"), ::testing::IsEmpty());
    std::set<std::string> wanted;
    auto listed = store().list();
    ASSERT_OK(listed);
    for (const Store::Listed& image : *listed) {
      ASSERT_TRUE(image.image.has_value());
      wanted.emplace(image.manifest.digest.hex());
      wanted.emplace(image.image->manifest.config.digest.hex());
      for (const LayerBlob& layer : image.image->layers) wanted.emplace(layer.blob.digest.hex());
    }
    EXPECT_EQ(names_in("blobs/sha256"), wanted);
  }

  /// Flips a byte in the middle of a file.
  static void damage(const std::string& file) {
    UniqueFd fd(::open(file.c_str(), O_RDWR | O_CLOEXEC));
    auto found = sys::stat_fd(fd.get());
    ASSERT_OK(found);
    char byte = 0;
    ASSERT_EQ(::pread(fd.get(), &byte, 1, found->st_size / 2), 1);
    byte = static_cast<char>(byte ^ 1);
    ASSERT_EQ(::pwrite(fd.get(), &byte, 1, found->st_size / 2), 1);
  }

  std::optional<sys::TempDir> dir_;
  std::optional<Store> store_;
};

}  // namespace nexcage::image
