#include "nexcage/registry/client/upload.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "nexcage/base/text.h"
#include "nexcage/registry/client/jitter.h"

namespace nexcage::registry::client {

std::string_view upload_state(Uploaded how) {
  switch (how) {
    case Uploaded::was_there:
      return "present";
    case Uploaded::mounted:
      return "mounted";
    case Uploaded::sent:
      return "done";
  }
  return "";
}

std::optional<std::uint64_t> parse_upload_range(std::string_view text) {
  text = trim(text);
  if (text.starts_with("bytes=")) text.remove_prefix(6);
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos || text.substr(0, dash) != "0") return std::nullopt;
  const auto last = parse_u64(text.substr(dash + 1));
  if (!last || *last >= std::uint64_t{1} << 62) return std::nullopt;
  return *last + 1;
}

Result<std::size_t> FileRange::read(std::uint64_t offset, std::span<std::byte> buffer) {
  if (offset >= size_) return 0;
  const auto want =
      static_cast<std::size_t>(std::min<std::uint64_t>(size_ - offset, buffer.size()));
  while (true) {
    const ssize_t n = ::pread(fd_, buffer.data(), want, static_cast<off_t>(offset_ + offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read a blob");
    if (n == 0) return fail(Errc::InvalidImage, "a blob is shorter than it was");
    return static_cast<std::size_t>(n);
  }
}

Ask BlobUpload::ask(Method method, std::string target) const {
  Ask out;
  out.method = method;
  out.target = std::move(target);
  out.scope = remote_.scope("pull,push");
  out.what = what_;
  return out;
}

Result<bool> BlobUpload::is_there() {
  NX_TRY(const Finished done,
         remote_.ask(ask(Method::head, remote_.path("blobs/" + blob_.digest.str())), nullptr));
  if (done.response.status == 404) return false;
  if (!done.response.ok()) return fail(remote_.refusal(done, what_));
  return true;
}

Result<> BlobUpload::take_location(const Finished& done) {
  const std::string_view location = done.response.header("location");
  if (location.empty())
    return fail(remote_.describe(
        Error(Errc::RegistryError, "the registry names no place to upload to"), what_));
  NX_TRY(const Url url, resolve(remote_.url(), location));
  location_ = url.str();
  if (const auto least = parse_u64(done.response.header("oci-chunk-min-length"))) least_ = *least;
  return {};
}

/// True when the registry took it from there; false leaves an open session, or nothing.
Result<bool> BlobUpload::mount(const std::string& from) {
  Ask post = ask(Method::post,
                 add_query(add_query(remote_.path("blobs/uploads/"), "mount", blob_.digest.str()),
                           "from", from));
  post.scope += " repository:" + from + ":pull";
  auto done = remote_.ask(post, nullptr);
  // No right to read there is no reason not to send it.
  if (!done && done.error().code() == Errc::PermissionDenied) return false;
  if (!done) return fail(std::move(done).error());
  if (done->response.status == 201) return true;
  if (done->response.status == 202) NX_CHECK(take_location(*done));
  return false;
}

/// A session that a failed mount opened and another mount makes useless.
void BlobUpload::cancel() {
  // One that stays is forgotten by the registry in its own time.
  if (!location_.empty()) (void)remote_.ask(ask(Method::remove, location_), nullptr);
  location_.clear();
}

Result<> BlobUpload::begin() {
  NX_TRY(const Finished done,
         remote_.ask_ok(ask(Method::post, remote_.path("blobs/uploads/")), nullptr));
  offset_ = 0;
  return take_location(done);
}

/// After a chunk that did not go through: what the registry has of the upload, if it still knows
/// it.
Result<> BlobUpload::ask_offset() {
  NX_TRY(const Finished done, remote_.ask(ask(Method::get, location_), nullptr));
  if (!done.response.ok()) {
    location_.clear();
    return {};
  }
  offset_ = parse_upload_range(done.response.header("range")).value_or(0);
  if (offset_ > blob_.size) location_.clear();
  return done.response.header("location").empty() ? Result<>() : take_location(done);
}

Result<> BlobUpload::send_chunk() {
  const std::uint64_t most = std::max(settings_.chunk, least_);
  const std::uint64_t size = std::min(blob_.size - offset_, most);
  FileRange body(blob_.fd, offset_, size);
  Ask patch = ask(Method::patch, location_);
  patch.headers = {
      "Content-Type: application/octet-stream",
      "Content-Range: " + std::to_string(offset_) + "-" + std::to_string(offset_ + size - 1)};
  patch.upload = &body;
  patch.once = true;
  NX_TRY(const Finished done, remote_.ask_ok(patch, nullptr));
  const auto has = parse_upload_range(done.response.header("range"));
  offset_ = has && *has <= offset_ + size ? *has : offset_ + size;
  remote_.events().progress(blob_.digest, offset_, blob_.size);
  return take_location(done);
}

Result<> BlobUpload::finish() {
  Ask put = ask(Method::put, add_query(location_, "digest", blob_.digest.str()));
  FileRange body(blob_.fd, 0, blob_.size);
  put.headers = {"Content-Type: application/octet-stream"};
  if (offset_ == 0) put.upload = &body;  // small: all in one request
  put.once = true;
  NX_CHECK(remote_.ask_ok(put, nullptr));
  remote_.events().progress(blob_.digest, blob_.size, blob_.size);
  return {};
}

Result<> BlobUpload::send() {
  if (location_.empty()) NX_CHECK(begin());
  while (blob_.size > std::max(settings_.chunk, least_) && offset_ < blob_.size)
    NX_CHECK(send_chunk());
  return finish();
}

Result<Uploaded> BlobUpload::run() {
  NX_TRY(const bool there, is_there());
  if (there) return Uploaded::was_there;
  for (const std::string& from : mount_from_) {
    if (from == remote_.endpoint().repository) continue;
    cancel();
    NX_TRY(const bool mounted, mount(from));
    if (mounted) return Uploaded::mounted;
  }
  remote_.events().blob(blob_.digest, "started");
  Retries retries(remote_.retries());
  std::uint64_t reached = 0;
  while (true) {
    auto sent = send();
    if (sent) return Uploaded::sent;
    const Errc code = sent.error().code();
    const bool lasting =
        code == Errc::PermissionDenied || code == Errc::FileError || code == Errc::InvalidImage;
    if (offset_ > reached) retries.progress();
    reached = std::max(reached, offset_);
    const auto delay = lasting ? std::nullopt : retries.next(std::nullopt, jitter());
    if (!delay) return fail(std::move(sent).error());
    remote_.events().retry(what_, sent.error().message(), *delay);
    remote_.session().sleep_until(std::chrono::steady_clock::now() + *delay);
    if (!location_.empty()) NX_CHECK(ask_offset());
  }
}

}  // namespace nexcage::registry::client
