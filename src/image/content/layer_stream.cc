#include "nexcage/image/content/read_ahead.h"
#include "nexcage/image/content/stream.h"

namespace nexcage::image::content {

namespace {

/// Puts the layer's name before every error.
class NamedSource final : public ByteSource {
 public:
  NamedSource(ByteSource& from, std::string name) : from_(from), name_(std::move(name)) {}
  Result<std::size_t> read(std::span<std::byte> buffer) override {
    NX_TRY(std::size_t n, from_.read(buffer), name_);
    return n;
  }

 private:
  ByteSource& from_;
  std::string name_;
};

}  // namespace

struct LayerStream::State {
  State(int blob_fd, std::string layer_name) : file(blob_fd, "blob"), name(std::move(layer_name)) {}
  FdSource file;
  std::string name;
  std::unique_ptr<VerifiedSource> blob;
  std::unique_ptr<ByteSource> inflated;
  std::unique_ptr<ReadAhead> ahead;
  std::unique_ptr<VerifiedSource> tar;
  std::unique_ptr<NamedSource> named;
};

LayerStream::LayerStream(std::unique_ptr<State> state) : state_(std::move(state)) {}
LayerStream::~LayerStream() = default;

Result<std::unique_ptr<LayerStream>> LayerStream::open(int blob, const Promise& promise,
                                                       const InflateLimits& limits,
                                                       Threads threads) {
  auto state = std::make_unique<State>(blob, "layer " + promise.digest.str());
  NX_TRY(state->blob, VerifiedSource::create(state->file, promise.digest, promise.size, "blob"));
  NX_TRY(state->inflated, inflate(*state->blob, promise.compression, limits));
  if (threads == Threads::two) state->ahead = std::make_unique<ReadAhead>(*state->inflated);
  ByteSource& inflated = state->ahead ? *state->ahead : *state->inflated;
  NX_TRY(state->tar, VerifiedSource::create(inflated, promise.diff_id, std::nullopt,
                                            "inflated content (diff ID)"));
  state->named = std::make_unique<NamedSource>(*state->tar, state->name);
  return std::unique_ptr<LayerStream>(new LayerStream(std::move(state)));
}

ByteSource& LayerStream::tar() { return *state_->named; }

std::uint64_t LayerStream::tar_bytes() const { return state_->tar->bytes(); }

Result<> LayerStream::finish() {
  NX_CHECK(drain(*state_->named));
  // An inflater may answer its end without having asked the file for its own; the blob's digest is
  // checked when that end is seen. A thread that read it has ended by now.
  NX_CHECK(drain(*state_->blob), state_->name);
  return {};
}

}  // namespace nexcage::image::content
