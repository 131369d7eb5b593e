#include "nexcage/sys/read_once.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "nexcage/base/unique_fd.h"
#include "nexcage/sys/fs.h"

namespace nexcage::sys {

Result<std::string> read_once(const std::string& path) {
  NX_TRY(const UniqueFd fd, open_at(AT_FDCWD, path, O_RDONLY | O_NOCTTY));
  std::array<char, 4096> buffer;
  ssize_t n = -1;
  do n = ::read(fd.get(), buffer.data(), buffer.size());
  while (n < 0 && errno == EINTR);
  if (n < 0) return fail_errno("read " + path);
  std::string content(buffer.data(), static_cast<std::size_t>(n));
  if (content.size() < buffer.size()) return content;
  NX_TRY(const std::string rest, read_all(fd.get()), path);
  return content + rest;
}

}  // namespace nexcage::sys
