// What a finished transfer or check of a blob leads to.
#include <algorithm>

#include "nexcage/registry/client/blob_fetch.h"
#include "nexcage/registry/client/jitter.h"

namespace nexcage::registry::client {

namespace {
/// New bytes after which earlier failures are forgotten.
constexpr std::uint64_t kProgress = 1u << 20;
}  // namespace

Result<bool> BlobFetch::take(const Finished& done) {
  const auto found =
      std::ranges::find(segments_, done.id, [](const auto& segment) { return segment->transfer; });
  if (found == segments_.end()) return false;
  // What came before a connection broke is kept.
  const bool ours = done.failure && done.failure->kind == TransportFailure::Kind::sink;
  if (!ours) NX_CHECK((*found)->flush());
  if (!done.failure) {
    remote().answered();
    auto next = (*found)->exchange.after(done);
    if (!next) {
      segments_.erase(found);
      NX_CHECK(next_remote(remote().describe(std::move(next).error(), what())));
      return true;
    }
    if (*next == Exchange::Next::again) {
      (*found)->transfer = with_.session.start((*found)->exchange.request(), found->get());
      return true;
    }
  }
  const std::unique_ptr<Segment> segment = std::move(*found);
  segments_.erase(found);
  NX_CHECK(finish_segment(*segment, done));
  return true;
}

Result<> BlobFetch::finish_segment(const Segment& segment, const Finished& done) {
  const bool refused = segment.wrong_range() || done.response.status == 416;
  if (segment.got_range()) ranges_seen_ = true;
  if (segment.got_whole() || refused) ranges_ = ranges_seen_ = false;
  if (!done.failure && done.response.ok() && segment.complete()) {
    if (progress_ > 0) retries_->progress();
    progress_ = 0;
    const Url& url = segment.exchange.url();
    if (!url.same_server(remote().url())) redirected_ = url;
    return {};
  }
  return failed(done, refused);
}

Result<> BlobFetch::failed(const Finished& done, bool wrong_range) {
  if (done.failure && done.failure->error && done.failure->error->code() == Errc::FileError)
    return fail(*done.failure->error);
  Verdict verdict = judge(done, std::chrono::system_clock::now());
  Finished shown = done;
  if (!done.failure && done.response.ok())
    shown.failure = {.kind = TransportFailure::Kind::broken,
                     .text = "the answer ended too early",
                     .error = std::nullopt};
  // A place we were sent to earlier may be good no more (a signature that ran out).
  const bool stale = redirected_.has_value();
  redirected_.reset();
  const bool again = verdict.is == Verdict::Is::retry || wrong_range || stale ||
                     (!done.failure && done.response.ok());
  if (progress_ >= kProgress) retries_->progress();
  progress_ = 0;
  const auto delay = again && remote().worth_a_retry(done, retries_->failures())
                         ? retries_->next(verdict.asked, jitter())
                         : std::nullopt;
  Error why = remote().refusal(shown, what());
  if (!delay) return next_remote(std::move(why));
  with_.events.retry(what(), why.message(), *delay);
  not_before_ = std::chrono::steady_clock::now() + *delay;
  return {};
}

Result<> BlobFetch::next_remote(Error why) {
  if (remote_index_ + 1 == with_.remotes.size()) return fail(std::move(why));
  with_.events.retry(what(), why.message(), std::chrono::milliseconds(0));
  drop_segments();
  ++remote_index_;
  with_.events.endpoint(remote().endpoint().url);
  redirected_.reset();
  ranges_ = true;
  ranges_seen_ = false;
  connections_ = 1;
  not_before_ = {};
  retries_.emplace(with_.settings.retry);
  return {};
}

Result<> BlobFetch::collect_check() {
  checked_ = false;
  checker_.join();
  return judge_check(std::move(verdict_));
}

Result<> BlobFetch::judge_check(BlobVerdict verdict) {
  using Is = BlobVerdict::Is;
  if (verdict.is == Is::good) {
    NX_CHECK(partial_->publish());
    partial_.reset();  // the lock goes: whoever waits finds the blob
    state_ = State::done;
    with_.events.blob(promise_.digest, "done");
    return {};
  }
  Error why = remote().describe(*std::move(verdict.error), what());
  if (verdict.is == Is::failed) return fail(std::move(why));
  drop_segments();
  NX_CHECK(partial_->start_over());
  if (verdict.is == Is::bad_content) return fail(std::move(why));
  // What lay on the disk may have been the culprit; else this endpoint's copy is.
  if (resumed_)
    with_.events.retry(what(), why.message(), std::chrono::milliseconds(0));
  else
    NX_CHECK(next_remote(std::move(why)));
  resumed_ = false;
  state_ = State::fetching;
  start_check();
  return {};
}

}  // namespace nexcage::registry::client
