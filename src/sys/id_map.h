// User namespaces made only for their id maps: what an id-mapped mount refers to
// (mount_setattr(2), MOUNT_ATTR_IDMAP).
#pragma once

#include <cstdint>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/sys/mount.h"

namespace nexcage::sys {

/// One line of /proc/PID/uid_map (user_namespaces(7)).
struct IdRange {
  std::uint32_t inside = 0, outside = 0, count = 0;
};

/// A user namespace with these maps that no process lives in. Needs CAP_SETUID and CAP_SETGID over
/// the ids outside.
Result<UniqueFd> make_user_namespace(const std::vector<IdRange>& uids,
                                     const std::vector<IdRange>& gids);

/// Owners of the detached mount are seen through the maps of `user_namespace`. Unsupported when the
/// file system cannot do that.
Result<> map_ids(int mount, int user_namespace, Recursive recursive);

}  // namespace nexcage::sys
