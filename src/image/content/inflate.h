// The decompressors behind inflate() (stream.h).
#pragma once

#include <memory>

#include "nexcage/image/content/stream.h"

namespace nexcage::image::content {

/// Input buffering and output limits that both formats share.
class Inflater : public ByteSource {
 public:
  Result<std::size_t> read(std::span<std::byte> buffer) final;

 protected:
  Inflater(ByteSource& from, const InflateLimits& limits, std::string_view format);

  struct Step {
    std::size_t consumed = 0;  // of the input offered
    std::size_t produced = 0;
    bool changed = false;  // a state was left although nothing was consumed or produced
    bool ended = false;    // nothing more will come, and everything was checked
  };
  /// Does some work on `input` (empty: the source has ended). A step without any progress after
  /// the source has ended means that the data is truncated.
  virtual Result<Step> step(std::span<const std::byte> input, std::span<std::byte> output,
                            bool source_ended) = 0;
  /// InvalidImage "gzip data at byte N: ...".
  std::unexpected<Error> damaged(const std::string& why) const;

 private:
  Result<> refill();
  Result<> check_limits() const;

  ByteSource& from_;
  InflateLimits limits_;
  std::string format_;
  std::vector<std::byte> buffer_;
  std::span<const std::byte> input_;
  bool source_ended_ = false;
  bool ended_ = false;
  std::uint64_t consumed_ = 0;
  std::uint64_t produced_ = 0;
};

/// RFC 1952 through ISA-L.
std::unique_ptr<ByteSource> make_gzip_inflater(ByteSource& from, const InflateLimits& limits);
/// RFC 8878. OutOfMemory when libzstd cannot allocate.
Result<std::unique_ptr<ByteSource>> make_zstd_inflater(ByteSource& from,
                                                       const InflateLimits& limits);

}  // namespace nexcage::image::content
