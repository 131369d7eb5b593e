// What zfs(8) and zpool(8) meant when they failed. They tell it in words only: their exit status is
// 1 for every failure and 2 for wrong usage.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "nexcage/base/error.h"

namespace nexcage::storage::zfs {

enum class Failure : std::uint8_t {
  no_such_dataset,  // nor snapshot, nor pool
  exists,
  busy,            // mounted, held open, or held by zfs-hold(8)
  has_dependents,  // children, snapshots or clones; rollback: newer snapshots
  out_of_space,    // of the pool, or a quota
  permission,
  not_available,  // no program, no module, no /dev/zfs
  invalid,        // zfs does not take the name, property, operation or stream
  other,
};

/// The kind of failure, from what the program wrote in the C locale. Pure.
Failure classify(std::string_view stderr_text, int exit_code);

/// The failure as an error: ZFSError with the errno ENOENT, EEXIST, EBUSY, ENOTEMPTY, ENOSPC (a
/// quota: EDQUOT) or EINVAL; PermissionDenied with EPERM; RuntimeNotAvailable. The message is what
/// the program said, on one line; `attempted` is the frame around it. Pure.
Error to_error(std::string attempted, std::string_view stderr_text, int exit_code);

/// What kind of failure an error of this folder is; `other` for foreign errors.
Failure failure_of(const Error& error);

}  // namespace nexcage::storage::zfs
