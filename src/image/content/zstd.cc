#include <zstd.h>

#include <algorithm>
#include <array>
#include <bit>

#include "nexcage/image/content/inflate.h"

namespace nexcage::image::content {

namespace {

struct FreeStream {
  void operator()(ZSTD_DCtx* stream) const { ZSTD_freeDCtx(stream); }
};

constexpr std::size_t kMagicSize = 4;
/// RFC 8878, 3.1.1.1: the magic number, a byte, and 1 + 4 + 8 bytes of fields.
constexpr std::size_t kMaxHeaderSize = 18;

/// RFC 8878, 3.1.1 and 3.1.2. libzstd would also read the formats from before the RFC.
bool is_frame_magic(std::uint32_t magic) {
  return magic == ZSTD_MAGICNUMBER ||
         (magic & ZSTD_MAGIC_SKIPPABLE_MASK) == ZSTD_MAGIC_SKIPPABLE_START;
}

/// All frames of a zstd file; libzstd skips skippable ones and checks content checksums.
class ZstdInflater final : public Inflater {
 public:
  ZstdInflater(ByteSource& from, const InflateLimits& limits,
               std::unique_ptr<ZSTD_DCtx, FreeStream> stream)
      : Inflater(from, limits, "zstd"), stream_(std::move(stream)) {}

 protected:
  Result<Step> step(std::span<const std::byte> input, std::span<std::byte> output,
                    bool source_ended) override {
    if (!in_frame_) return begin_frame(input, source_ended);
    // While it reads a header, libzstd takes what it is given for the beginning of a frame if that
    // could be one, and its shortcut for whole frames decodes this instead. One byte never could.
    if (frame_bytes_ < kMaxHeaderSize) {
      NX_TRY(const Step step,
             inflate_frame(input.first(std::min<std::size_t>(input.size(), 1)), output));
      frame_bytes_ += step.consumed;
      return step;
    }
    return inflate_frame(input, output);
  }

 private:
  /// Collects the magic number of the next frame, if there is one, and hands it to libzstd.
  Result<Step> begin_frame(std::span<const std::byte> input, bool source_ended) {
    // The source may end only behind a whole frame, so an empty file is damaged, too.
    if (source_ended) return Step{.ended = any_frame_ && magic_count_ == 0};
    const std::size_t taken = std::min(input.size(), kMagicSize - magic_count_);
    std::ranges::copy(input.first(taken),
                      magic_.begin() + static_cast<std::ptrdiff_t>(magic_count_));
    magic_count_ += taken;
    if (magic_count_ < kMagicSize) return Step{.consumed = taken};
    std::uint32_t magic = 0;
    for (std::size_t i = kMagicSize; i-- > 0;)
      magic = magic << 8 | std::to_integer<std::uint32_t>(magic_[i]);
    if (!is_frame_magic(magic)) return damaged("no zstd frame begins here");
    NX_TRY(Step begun, inflate_frame(magic_, {}));
    if (begun.consumed != kMagicSize) return damaged("the frame's header is not read");
    in_frame_ = true;
    any_frame_ = true;
    magic_count_ = 0;
    frame_bytes_ = kMagicSize;
    return Step{.consumed = taken};
  }

  Result<Step> inflate_frame(std::span<const std::byte> input, std::span<std::byte> output) {
    ZSTD_inBuffer in{.src = input.data(), .size = input.size(), .pos = 0};
    ZSTD_outBuffer out{.dst = output.data(), .size = output.size(), .pos = 0};
    const std::size_t code = ZSTD_decompressStream(stream_.get(), &out, &in);
    if (ZSTD_isError(code) != 0) return damaged(ZSTD_getErrorName(code));
    in_frame_ = code != 0;
    return Step{.consumed = in.pos, .produced = out.pos, .changed = !in_frame_};
  }

  std::unique_ptr<ZSTD_DCtx, FreeStream> stream_;
  std::array<std::byte, kMagicSize> magic_{};
  std::size_t magic_count_ = 0;
  std::size_t frame_bytes_ = 0;  // of the frame, until its header must have ended
  bool in_frame_ = false;
  bool any_frame_ = false;
};

}  // namespace

Result<std::unique_ptr<ByteSource>> make_zstd_inflater(ByteSource& from,
                                                       const InflateLimits& limits) {
  std::unique_ptr<ZSTD_DCtx, FreeStream> stream(ZSTD_createDCtx());
  if (!stream) return fail(Errc::OutOfMemory, "start inflating zstd data");
  int window_log = static_cast<int>(std::bit_width(limits.max_window)) - 1;
  std::size_t code = ZSTD_DCtx_setParameter(stream.get(), ZSTD_d_windowLogMax, window_log);
  if (ZSTD_isError(code) != 0)
    return fail(Errc::InvalidConfig, "zstd window of " + std::to_string(limits.max_window) +
                                         " bytes: " + ZSTD_getErrorName(code));
  return std::make_unique<ZstdInflater>(from, limits, std::move(stream));
}

}  // namespace nexcage::image::content
