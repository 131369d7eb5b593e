#include "nexcage/vm/host/poller.h"

#include <algorithm>
#include <cerrno>

namespace nexcage::vm::host {

Result<> Poller::wait() {
  int timeout = -1;
  if (until_) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*until_ - Clock::now());
    timeout = static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 60'000));
  }
  const int ready = ::poll(entries_.data(), entries_.size(), timeout);
  if (ready < 0 && errno != EINTR) return fail_errno("wait for something to happen");
  if (ready <= 0) return {};
  for (std::size_t i = 0; i < entries_.size(); ++i)
    if (entries_[i].revents != 0) NX_CHECK(handlers_[i](entries_[i].revents));
  return {};
}

}  // namespace nexcage::vm::host
