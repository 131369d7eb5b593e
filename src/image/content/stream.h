// Streams of bytes that strangers made: every reader checks what passes through it, so that no
// consumer can forget to. A source is pulled from; stages are stacked by reference, the caller
// keeps them alive in order (or lets LayerStream do it).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/oci/digest.h"
#include "nexcage/oci/image.h"

namespace nexcage::image::content {

/// Something bytes can be read from, once, in order.
class ByteSource {
 public:
  ByteSource() = default;
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;
  virtual ~ByteSource() = default;
  /// Puts at least one and at most buffer.size() bytes at the front of `buffer`; 0 means the end
  /// (and again 0 when asked again). After an error the source is not to be read any more.
  virtual Result<std::size_t> read(std::span<std::byte> buffer) = 0;
  /// Passes over at most `length` bytes; fewer only when the source ends. Reads them unless the
  /// source knows better.
  virtual Result<std::uint64_t> skip(std::uint64_t length);
};

/// Reads until `buffer` is full or the source ends; returns how much came.
Result<std::size_t> read_full(ByteSource& source, std::span<std::byte> buffer);
/// Reads and throws away what is left; returns how much that was.
Result<std::uint64_t> drain(ByteSource& source);

/// A descriptor read from where it stands, with readahead asked for. Does not own it.
class FdSource final : public ByteSource {
 public:
  /// `what` names the file in errors.
  FdSource(int fd, std::string what);
  Result<std::size_t> read(std::span<std::byte> buffer) override;

 private:
  int fd_;
  std::string what_;
};

/// A part of a regular file, read with pread(2): the descriptor's own position stays. Does not own
/// it.
class SliceSource final : public ByteSource {
 public:
  SliceSource(int fd, std::uint64_t offset, std::uint64_t length, std::string what)
      : fd_(fd), at_(offset), left_(length), what_(std::move(what)) {}
  /// A file that is shorter than the slice: InvalidImage.
  Result<std::size_t> read(std::span<std::byte> buffer) override;
  Result<std::uint64_t> skip(std::uint64_t length) override;

 private:
  int fd_;
  std::uint64_t at_, left_;
  std::string what_;
};

/// Bytes in memory. Does not own them.
class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(std::span<const std::byte> data) : left_(data) {}
  Result<std::size_t> read(std::span<std::byte> buffer) override;

 private:
  std::span<const std::byte> left_;
};

/// A running hash (OpenSSL EVP) of sha256 or sha512.
class Hasher {
 public:
  /// Unsupported for another algorithm.
  static Result<Hasher> create(std::string_view algorithm = "sha256");
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;
  ~Hasher();
  void update(std::span<const std::byte> data);
  /// The digest of everything so far; call once.
  oci::Digest finish();

 private:
  struct State;
  explicit Hasher(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Digest of a short text (a JSON document).
oci::Digest sha256_of(std::string_view text);

/// Passes bytes on and hashes and counts them.
class HashingSource final : public ByteSource {
 public:
  static Result<std::unique_ptr<HashingSource>> create(ByteSource& from,
                                                       std::string_view algorithm = "sha256");
  Result<std::size_t> read(std::span<std::byte> buffer) override;
  std::uint64_t bytes() const { return bytes_; }
  /// Digest of what was read so far; call once, at the end.
  oci::Digest finish() { return hasher_.finish(); }

 private:
  HashingSource(ByteSource& from, Hasher hasher) : from_(from), hasher_(std::move(hasher)) {}
  ByteSource& from_;
  Hasher hasher_;
  std::uint64_t bytes_ = 0;
};

/// Passes bytes on and answers its end only when size and digest are the promised ones:
/// InvalidImage naming the blob as soon as there are more bytes than promised, and at the end for
/// fewer bytes or another digest.
class VerifiedSource final : public ByteSource {
 public:
  /// `what` begins the messages: "blob sha256:...". Without a size only the digest counts.
  static Result<std::unique_ptr<VerifiedSource>> create(ByteSource& from, oci::Digest digest,
                                                        std::optional<std::uint64_t> size,
                                                        std::string what);
  Result<std::size_t> read(std::span<std::byte> buffer) override;
  std::uint64_t bytes() const { return bytes_; }

 private:
  VerifiedSource(ByteSource& from, Hasher hasher, oci::Digest digest,
                 std::optional<std::uint64_t> size, std::string what);
  Result<> check_end();
  ByteSource& from_;
  Hasher hasher_;
  oci::Digest digest_;
  std::optional<std::uint64_t> size_;
  std::string what_;
  std::uint64_t bytes_ = 0;
  bool ended_ = false;
};

/// What a decompressor may produce. SECURITY: a small blob must not fill the disk.
struct InflateLimits {
  std::uint64_t max_output = std::uint64_t{1} << 40;  // bytes, 1 TiB
  /// Output may be at most this many times the input (gzip's own limit is 1032), once more than
  /// `ratio_after` bytes came out.
  std::uint64_t max_ratio = 2000;
  std::uint64_t ratio_after = 64u << 20;
  std::uint64_t max_window = 128u << 20;  // zstd window, bytes: memory the frame may ask for
};

/// The inflated bytes of `from`. gzip: all members, header and trailer of each checked; trailing
/// zeros are padding, other trailing bytes InvalidImage. zstd: all frames, skippable ones skipped,
/// checksums checked. none: passes on. InvalidImage for damaged or truncated data and for limits.
Result<std::unique_ptr<ByteSource>> inflate(ByteSource& from, oci::Compression compression,
                                            const InflateLimits& limits = {});
/// The compression that the first bytes (at least 4) show.
oci::Compression detect_compression(std::span<const std::byte> head);

/// The whole chain of one layer: blob file -> size and digest -> inflate -> diff ID.
class LayerStream {
 public:
  struct Promise {
    oci::Digest digest;  // of the blob
    std::uint64_t size = 0;
    oci::Compression compression{};
    oci::Digest diff_id;  // of the tar
  };
  /// `two`: the blob is read, hashed and inflated in a thread of its own.
  enum class Threads : std::uint8_t { one, two };
  /// Reads `blob` from where it stands; the descriptor must outlive the stream.
  static Result<std::unique_ptr<LayerStream>> open(int blob, const Promise& promise,
                                                   const InflateLimits& limits = {},
                                                   Threads threads = Threads::one);
  ~LayerStream();
  /// The inflated tar. Its end is answered only when the diff ID is right. Errors name the layer.
  ByteSource& tar();
  /// Reads what the tar reader left (padding after the end of the archive) and the rest of the
  /// blob; ok only when size, digest and diff ID are all right. Nothing read before may be made
  /// visible until this returned ok.
  Result<> finish();
  std::uint64_t tar_bytes() const;

 private:
  struct State;
  explicit LayerStream(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace nexcage::image::content
