#include "nexcage/registry/client/fetcher.h"

#include <algorithm>
#include <deque>
#include <list>

namespace nexcage::registry::client {

namespace {

/// Hands a finished transfer to the blob it belongs to.
Result<> hand_out(std::list<BlobFetch>& active, const Finished& done) {
  for (BlobFetch& blob : active) {
    NX_TRY(const bool taken, blob.take(done));
    if (taken) return {};
  }
  return {};  // of a transfer that was given up
}

}  // namespace

Result<> fetch_blobs(const std::vector<BlobPromise>& blobs, const BlobFetch::With& with) {
  std::deque<const BlobPromise*> queue;
  for (const BlobPromise& blob : blobs) queue.push_back(&blob);
  std::list<BlobFetch> active;
  while (!queue.empty() || !active.empty()) {
    while (!queue.empty() && active.size() < with.settings.parallel_blobs) {
      active.emplace_back(*queue.front(), with);
      queue.pop_front();
    }
    const SteadyTime now = std::chrono::steady_clock::now();
    SteadyTime until = now + std::chrono::hours(1);
    for (BlobFetch& blob : active) {
      NX_TRY(const SteadyTime due, blob.pump(now));
      until = std::min(until, due);
    }
    if (std::erase_if(active, [](const BlobFetch& blob) { return blob.is_done(); }) > 0) continue;
    if (auto done = with.session.next(until)) NX_CHECK(hand_out(active, *done));
  }
  return {};
}

}  // namespace nexcage::registry::client
