// rootfs: sources: one tar of a whole root file system, from which we make an image.
#include <array>

#include "nexcage/image/content/source.h"

namespace nexcage::image::content {

namespace {

/// The one file, under any name.
class SingleFile final : public Files {
 public:
  SingleFile(UniqueFd fd, std::uint64_t size) : fd_(std::move(fd)), size_(size) {}
  bool has(const std::string&) const override { return true; }
  Result<std::unique_ptr<ByteSource>> open(const std::string& path) const override {
    return std::make_unique<SliceSource>(fd_.get(), 0, size_, path);
  }

 private:
  UniqueFd fd_;
  std::uint64_t size_;
};

}  // namespace

Result<SourceImage> read_rootfs_source(const std::string& path) {
  NX_TRY(UniqueFd fd, open_source_file(path));
  NX_TRY(struct stat found, sys::stat_fd(fd.get()), path);
  auto size = static_cast<std::uint64_t>(found.st_size);
  auto files = std::make_shared<SingleFile>(std::move(fd), size);
  NX_TRY(auto head_source, files->open(path));
  std::array<std::byte, 8> head{};
  NX_TRY(std::size_t n, read_full(*head_source, head));
  const Files* all = files.get();
  SourceImage image;
  image.layers.push_back({.what = "root file system " + path,
                          .digest = std::nullopt,
                          .size = size,
                          .diff_id = std::nullopt,
                          .compression = detect_compression(std::span(head).first(n)),
                          .open = [all, path] { return all->open(path); }});
  image.files = std::move(files);
  return image;
}

}  // namespace nexcage::image::content
