// Reading, writing and asking about files.
#include "nexcage/sys/fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "nexcage/base/text.h"

namespace nexcage::sys {
namespace {

/// Files of /proc say size 0; for them reading starts with this much.
constexpr std::size_t kReadStep = 4096;

/// read(2) until the end or until `buffer` is full.
Result<std::size_t> fill(int fd, std::span<char> buffer) {
  std::size_t filled = 0;
  while (filled < buffer.size()) {
    const ssize_t n = ::read(fd, buffer.data() + filled, buffer.size() - filled);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read");
    if (n == 0) break;
    filled += static_cast<std::size_t>(n);
  }
  return filled;
}

Result<> wait_writable(int fd) {
  pollfd waiting{fd, POLLOUT, 0};
  if (::poll(&waiting, 1, -1) < 0 && errno != EINTR) return fail_errno("wait for output");
  return {};
}

/// Component-wise textual ".." and "." removal of clean_path.
void append_component(std::vector<std::string>& parts, std::string part, bool absolute) {
  if (part.empty() || part == ".") return;
  if (part == ".." && !parts.empty() && parts.back() != "..")
    parts.pop_back();
  else if (part != ".." || !absolute)
    parts.push_back(std::move(part));
}

}  // namespace

Result<std::string> read_all(int fd, std::size_t max_bytes) {
  max_bytes = std::min(max_bytes, SIZE_MAX / 2);
  struct stat info{};
  std::size_t step = kReadStep;
  if (::fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0)
    step = std::min<std::size_t>(static_cast<std::size_t>(info.st_size), max_bytes) + 1;
  std::string out;
  while (out.size() <= max_bytes) {
    const std::size_t before = out.size();
    // One byte above the limit is enough to see that it is passed.
    out.resize(before + std::min(step, max_bytes - before + 1));
    NX_TRY(const std::size_t n, fill(fd, std::span(out).subspan(before)));
    const bool end = n < out.size() - before;
    out.resize(before + n);
    if (end) return out;
    step = std::max(kReadStep, out.size());
  }
  return fail(Error::from_errno(Errc::FileError, EFBIG,
                                "more than " + format_bytes(max_bytes) + " of content"));
}

Result<std::string> read_file(int dir, const std::string& path, std::size_t max_bytes) {
  NX_TRY(UniqueFd fd, open_at(dir, path, O_RDONLY | O_NOCTTY));
  NX_TRY(std::string content, read_all(fd.get(), max_bytes), path);
  return content;
}

Result<> write_all(int fd, std::string_view data) {
  while (!data.empty()) {
    const ssize_t n = ::write(fd, data.data(), data.size());
    if (n >= 0) {
      data.remove_prefix(static_cast<std::size_t>(n));
    } else if (errno == EAGAIN) {
      // A terminal or pipe that we were given may be non-blocking.
      NX_CHECK(wait_writable(fd));
    } else if (errno != EINTR) {
      return fail_errno("write");
    }
  }
  return {};
}

Result<std::vector<std::string>> list_dir(int dir) {
  // An own description: the offset of the caller's stays, and O_PATH descriptors can be listed.
  NX_TRY(UniqueFd fd, open_at(dir, ".", O_RDONLY | O_DIRECTORY), "list directory");
  std::vector<std::string> names;
  alignas(dirent64) std::array<char, 32768> buffer;
  for (;;) {
    const ssize_t n = ::getdents64(fd.get(), buffer.data(), buffer.size());
    if (n < 0) return fail_errno("list directory");
    if (n == 0) return names;
    for (ssize_t at = 0; at < n;) {
      const auto* entry = reinterpret_cast<const dirent64*>(buffer.data() + at);
      const std::string_view name(entry->d_name);
      if (name != "." && name != "..") names.emplace_back(name);
      at += entry->d_reclen;
    }
  }
}

Result<bool> exists(int dir, const std::string& path) {
  struct stat info{};
  if (::fstatat(dir, path.c_str(), &info, 0) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR) return false;
  return fail_errno("look for " + path);
}

Result<struct stat> stat_fd(int fd) {
  struct stat info{};
  if (::fstat(fd, &info) != 0) return fail_errno("stat a descriptor");
  return info;
}

Result<std::optional<struct stat>> stat_at(int dir, const std::string& name) {
  struct stat info{};
  if (::fstatat(dir, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0) return info;
  if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
  return fail_errno("stat " + name);
}

Result<std::string> read_link(int dir, const std::string& name) {
  for (std::size_t size = 256;; size *= 2) {
    std::string target(size, '\0');
    const ssize_t n = ::readlinkat(dir, name.c_str(), target.data(), size);
    if (n < 0) return fail_errno("read link " + name);
    if (static_cast<std::size_t>(n) == size) continue;
    target.resize(static_cast<std::size_t>(n));
    return target;
  }
}

Result<bool> is_fs(int fd, std::uint64_t magic) {
  struct statfs info{};
  if (::fstatfs(fd, &info) != 0) return fail_errno("look at the file system of a descriptor");
  return static_cast<std::uint64_t>(info.f_type) == magic;
}

std::string clean_path(std::string_view path) {
  const bool absolute = path.starts_with('/');
  std::vector<std::string> parts;
  for (std::string& part : split(path, '/')) append_component(parts, std::move(part), absolute);
  std::string out = (absolute ? "/" : "") + join(parts, "/");
  return out.empty() ? "." : out;
}

}  // namespace nexcage::sys
