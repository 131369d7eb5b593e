#include "nexcage/backends/cgroup_lock.h"

#include <fcntl.h>
#include <sys/file.h>

#include "nexcage/sys/fs.h"

namespace nexcage::backends {

Result<UniqueFd> lock_cgroups(const std::string& root, int operation) {
  NX_TRY(UniqueFd dir, sys::open_at(AT_FDCWD, root, O_RDONLY | O_DIRECTORY));
  if (::flock(dir.get(), operation) < 0) return fail_errno("lock " + root);
  return dir;
}

}  // namespace nexcage::backends
