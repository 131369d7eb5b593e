// Files in memory that nobody can change any more (memfd_create(2), file seals in fcntl(2)).
#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "nexcage/sys/fs.h"
#include "nexcage/sys/process.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U  // Linux 6.3
#endif
#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U  // Linux 6.3
#endif

namespace nexcage::sys {
namespace {

/// `mode` is MFD_EXEC or MFD_NOEXEC_SEAL; kernels before 6.3 know neither and refuse the flag.
Result<UniqueFd> create_memfd(std::string_view name, unsigned mode) {
  constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  const std::string label(name);
  UniqueFd fd(::memfd_create(label.c_str(), kFlags | mode));
  if (!fd && errno == EINVAL) fd.reset(::memfd_create(label.c_str(), kFlags));
  if (!fd) return fail_errno("make a file in memory for " + label);
  return fd;
}

Result<> seal(int fd) {
  constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
  if (::fcntl(fd, F_ADD_SEALS, kSeals) != 0) return fail_errno("seal a file in memory");
  return {};
}

/// The whole file from its beginning; the offset of `from` stays where it is.
Result<> copy_content(int from, int to) {
  off_t offset = 0;
  for (;;) {
    const ssize_t n = ::sendfile(to, from, &offset, 1u << 30);
    if (n == 0) return {};
    if (n < 0 && errno != EINTR) return fail_errno("copy a file to memory");
  }
}

}  // namespace

Result<UniqueFd> sealed_copy(int fd, std::string_view name) {
  NX_TRY(UniqueFd copy, create_memfd(name, MFD_EXEC));
  NX_CHECK(copy_content(fd, copy.get()));
  NX_CHECK(seal(copy.get()));
  return copy;
}

Result<UniqueFd> sealed_data(std::string_view data, std::string_view name) {
  NX_TRY(UniqueFd fd, create_memfd(name, MFD_NOEXEC_SEAL));
  NX_CHECK(write_all(fd.get(), data));
  if (::lseek(fd.get(), 0, SEEK_SET) != 0) return fail_errno("rewind a file in memory");
  NX_CHECK(seal(fd.get()));
  return fd;
}

Result<UniqueFd> memory_file(std::string_view name) { return create_memfd(name, MFD_NOEXEC_SEAL); }

Result<UniqueFd> inheritable_above(int fd, int least) {
  UniqueFd copy(::fcntl(fd, F_DUPFD, least));
  if (!copy) return fail_errno("copy a descriptor to " + std::to_string(least) + " or above");
  return copy;
}

}  // namespace nexcage::sys
