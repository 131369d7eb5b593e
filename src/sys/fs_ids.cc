#include "nexcage/sys/fs_ids.h"

#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

namespace nexcage::sys {
namespace {

/// The kernel takes the capabilities over files away from who becomes another user.
Result<> raise_capabilities() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> data{};
  if (syscall(SYS_capget, &header, data.data()) != 0) return fail_errno("read own capabilities");
  for (__user_cap_data_struct& half : data) half.effective = half.permitted;
  if (syscall(SYS_capset, &header, data.data()) != 0) return fail_errno("raise own capabilities");
  return {};
}

}  // namespace

Result<FsIds> FsIds::become(uid_t uid, gid_t gid) {
  if (uid == geteuid() && gid == getegid()) return FsIds(false);
  FsIds ids(true);
  (void)setfsgid(gid);
  (void)setfsuid(uid);
  NX_CHECK(raise_capabilities());
  return ids;
}

FsIds::~FsIds() {
  if (!changed_) return;
  (void)setfsuid(geteuid());
  (void)setfsgid(getegid());
}

}  // namespace nexcage::sys
