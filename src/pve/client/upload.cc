#include "nexcage/pve/client/upload.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "nexcage/base/text.h"
#include "nexcage/image/content/stream.h"
#include "nexcage/sys/fs.h"

namespace nexcage::pve::client {

namespace {

std::string part(const std::string& boundary, const std::string& name, const std::string& value) {
  return "--" + boundary + "\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" +
         value + "\r\n";
}

Result<std::string> checksum(int file) {
  NX_TRY(auto hasher, image::content::Hasher::create());
  std::array<std::byte, 256u << 10> buffer;
  off_t offset = 0;
  while (true) {
    const ssize_t n = ::pread(file, buffer.data(), buffer.size(), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read what is uploaded");
    if (n == 0) break;
    hasher.update(std::span(buffer.data(), static_cast<std::size_t>(n)));
    offset += n;
  }
  const std::string digest = hasher.finish().str();
  return digest.substr(digest.find(':') + 1);
}

std::size_t copy(std::string_view from, std::uint64_t offset, std::span<std::byte> to) {
  const std::size_t count = std::min<std::size_t>(from.size() - offset, to.size());
  std::memcpy(to.data(), from.data() + offset, count);
  return count;
}

}  // namespace

Result<std::unique_ptr<FileBody>> FileBody::open(const std::string& path, const std::string& name,
                                                 const std::string& content,
                                                 const std::string& known_sha256) {
  if (name.empty() || name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                             "0123456789._+-") != std::string::npos)
    return fail(Errc::InvalidConfig, "file name " + quote(name) + " cannot be uploaded");
  std::unique_ptr<FileBody> body(new FileBody);
  NX_TRY(body->file_, sys::open_at(AT_FDCWD, path, O_RDONLY), "upload");
  NX_TRY(const struct stat about, sys::stat_fd(body->file_.get()));
  body->file_size_ = static_cast<std::uint64_t>(about.st_size);
  std::string sha256 = known_sha256;
  if (sha256.empty()) {
    NX_TRY(sha256, checksum(body->file_.get()));
  }
  NX_TRY(const std::string token, sys::random_hex(16));
  const std::string boundary = "nexcage-" + token;
  body->content_type_ = "multipart/form-data; boundary=" + boundary;
  body->head_ = part(boundary, "content", content) +
                part(boundary, "checksum-algorithm", "sha256") +
                part(boundary, "checksum", sha256) + "--" + boundary +
                "\r\nContent-Disposition: form-data; name=\"filename\"; filename=\"" + name +
                "\"\r\nContent-Type: application/octet-stream\r\n\r\n";
  body->tail_ = "\r\n--" + boundary + "--\r\n";
  return body;
}

Result<std::size_t> FileBody::read(std::uint64_t offset, std::span<std::byte> buffer) {
  if (offset < head_.size()) return copy(head_, offset, buffer);
  offset -= head_.size();
  if (offset >= file_size_) return copy(tail_, offset - file_size_, buffer);
  const std::uint64_t most = std::min<std::uint64_t>(buffer.size(), file_size_ - offset);
  ssize_t n = 0;
  do {
    n = ::pread(file_.get(), buffer.data(), most, static_cast<off_t>(offset));
  } while (n < 0 && errno == EINTR);
  if (n < 0) return fail_errno("read what is uploaded");
  if (n == 0) return fail(Errc::FileError, "the file that is uploaded became shorter");
  return static_cast<std::size_t>(n);
}

}  // namespace nexcage::pve::client
