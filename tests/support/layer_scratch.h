// A scratch directory in which tests unpack layers in-process: tar text in, directory out.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "nexcage/image/content/stream.h"
#include "nexcage/layerfs/drivers/protect.h"
#include "nexcage/layerfs/unpack/unpack_layer.h"
#include "nexcage/sys/fs.h"

namespace nexcage::testing {

class LayerScratch {
 public:
  /// Below the working directory (the build tree under ctest): a file system that keeps trusted.*
  /// attributes and device nodes is needed, which /tmp may not be.
  LayerScratch() {
    std::string pattern = (std::filesystem::current_path() / "nx-layers-XXXXXX").string();
    const char* made = mkdtemp(pattern.data());
    if (made == nullptr) ADD_FAILURE() << "mkdtemp " << pattern << ": errno " << errno;
    path_ = pattern;
  }
  ~LayerScratch() {
    allow_removal();
    const auto removed = sys::remove_tree(path_);
    EXPECT_TRUE(removed.has_value()) << removed.error().message();
  }
  LayerScratch(const LayerScratch&) = delete;
  LayerScratch& operator=(const LayerScratch&) = delete;

  const std::string& path() const { return path_; }

  /// Writes the tar as an uncompressed blob and unpacks it to {path}/{name}.
  Result<layerfs::UnpackResult> unpack(const std::string& name, const std::string& tar,
                                       const std::vector<std::string>& lowers = {},
                                       const layerfs::unpack::UnpackLimits& limits = {}) {
    const std::string blob = path_ + "/" + name + ".tar";
    std::ofstream(blob, std::ios::binary) << tar;
    std::filesystem::create_directory(path_ + "/" + name);
    const oci::Digest digest = image::content::sha256_of(tar);
    std::vector<std::string> lower_paths;
    lower_paths.reserve(lowers.size());
    for (const std::string& lower : lowers) lower_paths.push_back(path_ + "/" + lower);
    return layerfs::unpack::unpack_layer({.blob_path = blob,
                                          .compression = oci::Compression::none,
                                          .digest = digest,
                                          .diff_id = digest,
                                          .size = tar.size(),
                                          .target = path_ + "/" + name,
                                          .lowers = lower_paths},
                                         limits);
  }

  /// Prepared files are immutable where the file system can do that.
  void allow_removal() const {
    namespace fs = std::filesystem;
    std::error_code none;
    for (const auto& driver : fs::directory_iterator(path_ + "/layers", none))
      for (const fs::path& keys : {driver.path(), driver.path() / ".tmp"})
        for (const auto& key : fs::directory_iterator(keys, none)) {
          const auto dir = sys::open_at(AT_FDCWD, key.path(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
          EXPECT_TRUE(!dir || layerfs::unprotect_files(dir->get()));
        }
  }

  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

/// Tests that make devices and owners call this first.
inline bool is_root() { return geteuid() == 0; }
#define NX_NEEDS_ROOT() \
  if (!::nexcage::testing::is_root()) GTEST_SKIP() << "needs root: files of any owner and type"

}  // namespace nexcage::testing
