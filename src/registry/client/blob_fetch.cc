#include "nexcage/registry/client/blob_fetch.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "nexcage/registry/client/jitter.h"
#include "nexcage/sys/fs.h"

namespace nexcage::registry::client {

namespace {

constexpr std::chrono::milliseconds kLockPoll{50};
constexpr std::chrono::hours kFar{1};

/// Cut to its size (a file may have been longer) and made durable.
Result<> settle(int fd, std::uint64_t size) {
  NX_TRY(struct stat found, sys::stat_fd(fd));
  if (static_cast<std::uint64_t>(found.st_size) != size &&
      ::ftruncate(fd, static_cast<off_t>(size)) != 0)
    return fail_errno("truncate a blob");
  return sys::fsync_fd(fd, "a blob");
}

}  // namespace

BlobFetch::~BlobFetch() {
  drop_segments();
  if (feed_) feed_->stop();
  if (checker_.joinable()) checker_.join();
}

Result<bool> BlobFetch::is_there() {
  NX_TRY(const Staging::Found found, with_.staging.find(promise_.digest, promise_.size));
  if (found == Staging::Found::nowhere) return false;
  present_ = true;
  state_ = State::done;
  with_.events.blob(promise_.digest, "present");
  return true;
}

Result<> BlobFetch::begin() {
  NX_TRY(const bool before, is_there());
  if (before) return {};
  NX_TRY(partial_, with_.staging.try_begin(promise_.digest, promise_.size), what());
  if (partial_) {
    // Another process may have finished it between the look and the lock: then the file is a new
    // one.
    NX_TRY(const bool meanwhile, is_there());
    if (meanwhile) {
      NX_CHECK(partial_->discard(), what());
      partial_.reset();
      return {};
    }
  }
  if (!partial_) {
    if (!announced_wait_) with_.events.blob(promise_.digest, "waiting");
    announced_wait_ = true;
    return {};
  }
  state_ = State::fetching;
  resumed_ = !partial_->have().empty();
  retries_.emplace(with_.settings.retry);
  with_.events.blob(promise_.digest, resumed_ ? "resumed" : "started");
  start_check();
  return {};
}

void BlobFetch::start_check() {
  feed_ = std::make_unique<Feed>(promise_.size);
  feed_->advance(partial_->have().prefix());
  checked_ = false;
  checker_ = std::jthread([this, fd = partial_->data_fd()] {
    FeedSource source(*feed_, fd);
    verdict_ = check_blob(source, promise_, with_.tars);
    if (verdict_.is == BlobVerdict::Is::good)
      if (auto settled = settle(fd, promise_.size); !settled)
        verdict_ = {.is = BlobVerdict::Is::failed, .error = std::move(settled).error()};
    checked_ = true;
    with_.session.wake();
  });
}

Result<SteadyTime> BlobFetch::pump(SteadyTime now) {
  if (state_ == State::waiting) NX_CHECK(begin());
  if (state_ == State::waiting) return now + kLockPoll;
  if (checked_) NX_CHECK(collect_check());
  if (state_ == State::fetching && partial_->have().size() == promise_.size) {
    state_ = State::checking;
    with_.events.blob(promise_.digest, "verifying");
  }
  if (state_ != State::fetching) return now + kFar;
  if (now < not_before_) return not_before_;
  NX_CHECK(start_segments(now));
  return ranges_seen_ && connections_ < with_.settings.connections_per_blob ? widen_at_
                                                                            : now + kFar;
}

std::optional<Interval> BlobFetch::next_piece() const {
  const std::uint64_t piece = with_.settings.piece;
  if (!ranges_)
    return segments_.empty() ? std::optional(Interval{.begin = 0, .end = promise_.size})
                             : std::nullopt;
  Intervals taken = partial_->have();
  for (const auto& segment : segments_) taken.add(segment->range());
  return taken.first_hole(promise_.size, promise_.size > 2 * piece ? piece : promise_.size);
}

Result<bool> BlobFetch::start_segment(bool own_connection) {
  const auto piece = next_piece();
  if (!piece) return false;
  const bool whole = piece->size() == promise_.size;
  Ask ask;
  ask.target = remote().path("blobs/" + promise_.digest.str());
  ask.scope = remote().scope("pull");
  ask.what = what();
  ask.own_connection = own_connection;
  if (!whole)
    ask.headers = {"Range: bytes=" + std::to_string(piece->begin) + "-" +
                   std::to_string(piece->end - 1)};
  NX_TRY(Exchange exchange, Exchange::create(remote(), std::move(ask)));
  if (redirected_) exchange.go_to(*redirected_);
  auto& segment = segments_.emplace_back(
      std::make_unique<Segment>(*this, std::move(exchange), *piece, promise_.size, whole));
  segment->transfer = with_.session.start(segment->exchange.request(), segment.get());
  return true;
}

Result<> BlobFetch::start_segments(SteadyTime now) {
  if (segments_.empty()) widen_at_ = now + with_.settings.widen_after;
  if (ranges_ && ranges_seen_ && now >= widen_at_ &&
      connections_ < with_.settings.connections_per_blob) {
    ++connections_;
    widen_at_ = now + with_.settings.widen_after;
  }
  while (segments_.size() < connections_) {
    NX_TRY(const bool started, start_segment(!segments_.empty()));
    if (!started) break;
  }
  return {};
}

Result<> BlobFetch::write(std::uint64_t offset, std::span<const std::byte> bytes) {
  const std::uint64_t before = partial_->have().size();
  NX_CHECK(partial_->write(offset, bytes));
  progress_ += partial_->have().size() - before;
  feed_->advance(partial_->have().prefix());
  if (const std::uint64_t durable = feed_->durable(); durable > partial_->durable())
    NX_CHECK(partial_->set_durable(durable));
  with_.events.progress(promise_.digest, partial_->have().size(), promise_.size);
  return {};
}

void BlobFetch::drop_segments() {
  for (const auto& segment : segments_) with_.session.cancel(segment->transfer);
  segments_.clear();
}

}  // namespace nexcage::registry::client
