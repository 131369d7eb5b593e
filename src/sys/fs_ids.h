// Making files as somebody else (setfsuid(2)) with all the power of the caller.
#pragma once

#include <sys/types.h>

#include <utility>

#include "nexcage/base/error.h"

namespace nexcage::sys {

/// As long as it lives, files that the calling thread makes belong to these ids; its capabilities
/// stay as they are. For the trees of user namespaces, where our own ids do not exist.
class FsIds {
 public:
  static Result<FsIds> become(uid_t uid, gid_t gid);
  FsIds(FsIds&& other) noexcept : changed_(std::exchange(other.changed_, false)) {}
  FsIds& operator=(FsIds&&) = delete;
  FsIds(const FsIds&) = delete;
  FsIds& operator=(const FsIds&) = delete;
  ~FsIds();

 private:
  explicit FsIds(bool changed) : changed_(changed) {}
  bool changed_;
};

}  // namespace nexcage::sys
