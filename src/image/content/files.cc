#include "nexcage/image/content/files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "nexcage/sys/fs.h"

namespace nexcage::image::content {

namespace {

/// O_NONBLOCK: a FIFO or device in the place of a file must not hang us.
constexpr int kReadFlags = O_RDONLY | O_NONBLOCK | O_NOCTTY;

Result<UniqueFd> regular_only(UniqueFd fd, const std::string& path, Errc otherwise) {
  NX_TRY(struct stat found, sys::stat_fd(fd.get()), path);
  if (!S_ISREG(found.st_mode)) return fail(otherwise, path + ": is no regular file");
  return fd;
}

/// FdSource with its descriptor.
class OwningSource final : public ByteSource {
 public:
  OwningSource(UniqueFd fd, const std::string& what)
      : fd_(std::move(fd)), source_(fd_.get(), what) {}
  Result<std::size_t> read(std::span<std::byte> buffer) override { return source_.read(buffer); }

 private:
  UniqueFd fd_;
  FdSource source_;
};

class Directory final : public Files {
 public:
  explicit Directory(UniqueFd fd) : fd_(std::move(fd)) {}

  bool has(const std::string& path) const override {
    return sys::open_in_root(fd_.get(), path, O_PATH).has_value();
  }
  Result<std::unique_ptr<ByteSource>> open(const std::string& path) const override {
    auto fd = sys::open_in_root(fd_.get(), path, kReadFlags);
    if (!fd && fd.error().sys_errno() == ENOENT)
      return fail(Errc::InvalidImage, path + ": is missing");
    if (!fd) return fail(std::move(fd).error());
    NX_TRY(UniqueFd regular, regular_only(*std::move(fd), path, Errc::InvalidImage));
    return std::make_unique<OwningSource>(std::move(regular), path);
  }

 private:
  UniqueFd fd_;
};

}  // namespace

Result<std::shared_ptr<Files>> open_directory(const std::string& path) {
  auto fd = sys::open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
  if (!fd && fd.error().sys_errno() == ENOENT)
    return fail(Errc::ImageNotFound, path + ": there is no such directory");
  if (!fd) return fail(std::move(fd).error());
  return std::make_shared<Directory>(*std::move(fd));
}

Result<UniqueFd> open_source_file(const std::string& path) {
  auto fd = sys::open_at(AT_FDCWD, path, kReadFlags);
  if (!fd && fd.error().sys_errno() == ENOENT)
    return fail(Errc::ImageNotFound, path + ": there is no such file");
  if (!fd) return fail(std::move(fd).error());
  return regular_only(*std::move(fd), path, Errc::FileError);
}

Result<std::string> read_text(const Files& files, const std::string& path, std::size_t max_bytes) {
  NX_TRY(auto source, files.open(path));
  std::string text(max_bytes + 1, '\0');
  NX_TRY(std::size_t n, read_full(*source, std::as_writable_bytes(std::span(text))), path);
  if (n > max_bytes)
    return fail(Errc::InvalidImage,
                path + ": has more than " + std::to_string(max_bytes) + " bytes");
  text.resize(n);
  return text;
}

Result<json::Value> read_json(const Files& files, const std::string& path) {
  NX_TRY(std::string text, read_text(files, path));
  auto value = json::parse(text);
  if (!value) return fail(std::move(value).error().as(Errc::InvalidImage).wrap(path));
  return *std::move(value);
}

}  // namespace nexcage::image::content
