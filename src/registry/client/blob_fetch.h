// One blob on its way from the endpoints to the staging directory: pieces over several connections,
// gone on from what is on disk, checked by a thread of its own while it comes in.
#pragma once

#include <atomic>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "nexcage/registry/client/blob_check.h"
#include "nexcage/registry/client/feed.h"
#include "nexcage/registry/client/remote.h"
#include "nexcage/registry/client/segment.h"
#include "nexcage/registry/client/staging.h"
#include "nexcage/registry/client/tar_staging.h"

namespace nexcage::registry::client {

struct FetchSettings {
  unsigned parallel_blobs = 4;
  unsigned connections_per_blob = 4;
  std::uint64_t piece = 16u << 20;  // bytes asked for at once, of a blob larger than two of them
  /// A blob gets a further connection when it is still loading so long after the last one.
  std::chrono::milliseconds widen_after{700};
  RetrySettings retry{};
  HttpSettings http{};
};

/// Driven by the session's thread; `this` stays where it is made.
class BlobFetch final : public SegmentOwner {
 public:
  struct With {
    HttpSession& session;
    const Staging& staging;
    const std::vector<Remote*>& remotes;  // in the order to be tried; not empty
    const FetchSettings& settings;
    Events& events;
    const TarStaging* tars = nullptr;  // layers are kept inflated there
  };
  BlobFetch(BlobPromise promise, With with) : promise_(std::move(promise)), with_(with) {}
  BlobFetch(const BlobFetch&) = delete;
  BlobFetch& operator=(const BlobFetch&) = delete;
  ~BlobFetch() override;

  const BlobPromise& promise() const { return promise_; }
  /// Does what is due and returns when it is to be called again (at the latest).
  Result<SteadyTime> pump(SteadyTime now);
  /// True when the transfer was one of ours.
  Result<bool> take(const Finished& done);
  bool is_done() const { return state_ == State::done; }
  /// It did not come from here: it was there.
  bool was_present() const { return present_; }

  // SegmentOwner
  Result<> write(std::uint64_t offset, std::span<const std::byte> bytes) override;

 private:
  enum class State : std::uint8_t { waiting, fetching, checking, done };
  Result<bool> is_there();
  Result<> begin();
  void start_check();
  Result<> collect_check();
  Result<> judge_check(BlobVerdict verdict);
  Result<> start_segments(SteadyTime now);
  Result<bool> start_segment(bool own_connection);
  std::optional<Interval> next_piece() const;
  Result<> finish_segment(const Segment& segment, const Finished& done);
  Result<> failed(const Finished& done, bool wrong_range);
  Result<> next_remote(Error why);
  void drop_segments();
  Remote& remote() { return *with_.remotes[remote_index_]; }
  std::string what() const { return "blob " + promise_.digest.str(); }

  BlobPromise promise_;
  With with_;
  State state_ = State::waiting;
  bool announced_wait_ = false, present_ = false, resumed_ = false;
  std::optional<Partial> partial_;
  std::size_t remote_index_ = 0;
  std::optional<Url> redirected_;  // where the registry sent us the last time
  std::list<std::unique_ptr<Segment>> segments_;
  bool ranges_ = true;        // the server has not shown that it knows none
  bool ranges_seen_ = false;  // it has shown that it does
  unsigned connections_ = 1;
  SteadyTime widen_at_{}, not_before_{};
  std::optional<Retries> retries_;
  std::uint64_t progress_ = 0;  // bytes since the last failure
  std::unique_ptr<Feed> feed_;
  std::jthread checker_;
  std::atomic<bool> checked_ = false;
  BlobVerdict verdict_;  // once checked_
};

}  // namespace nexcage::registry::client
