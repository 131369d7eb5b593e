#include <zstd.h>

#include <bit>

#include "nexcage/image/content/inflate.h"

namespace nexcage::image::content {

namespace {

struct FreeStream {
  void operator()(ZSTD_DCtx* stream) const { ZSTD_freeDCtx(stream); }
};

/// All frames of a zstd file; libzstd skips skippable ones and checks content checksums.
class ZstdInflater final : public Inflater {
 public:
  ZstdInflater(ByteSource& from, const InflateLimits& limits,
               std::unique_ptr<ZSTD_DCtx, FreeStream> stream)
      : Inflater(from, limits, "zstd"), stream_(std::move(stream)) {}

 protected:
  Result<Step> step(std::span<const std::byte> input, std::span<std::byte> output,
                    bool source_ended) override {
    // The source may end only behind a whole frame, so an empty file is damaged, too.
    if (source_ended && between_frames_) return Step{.ended = true};
    ZSTD_inBuffer in{.src = input.data(), .size = input.size(), .pos = 0};
    ZSTD_outBuffer out{.dst = output.data(), .size = output.size(), .pos = 0};
    std::size_t code = ZSTD_decompressStream(stream_.get(), &out, &in);
    if (ZSTD_isError(code) != 0) return damaged(ZSTD_getErrorName(code));
    bool changed = code == 0 && !between_frames_;
    if (changed || in.pos > 0 || out.pos > 0) between_frames_ = code == 0;
    return Step{.consumed = in.pos, .produced = out.pos, .changed = changed};
  }

 private:
  std::unique_ptr<ZSTD_DCtx, FreeStream> stream_;
  bool between_frames_ = false;  // also false before the first
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
