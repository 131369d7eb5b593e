#include "nexcage/image/content/stream.h"

#include <isa-l/igzip_lib.h>
#include <zstd.h>

#include <algorithm>

#include "result_matchers.h"

namespace nexcage::image::content {
namespace {

using ::testing::HasSubstr;

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

/// Gives at most `step` bytes at a time, as pipes and small buffers do.
class Trickle final : public ByteSource {
 public:
  Trickle(std::string data, std::size_t step) : data_(std::move(data)), step_(step) {}
  Result<std::size_t> read(std::span<std::byte> buffer) override {
    std::size_t n = std::min({step_, buffer.size(), data_.size() - at_});
    std::copy_n(bytes_of(data_).begin() + static_cast<std::ptrdiff_t>(at_), n, buffer.begin());
    at_ += n;
    return n;
  }

 private:
  std::string data_;
  std::size_t step_;
  std::size_t at_ = 0;
};

Result<std::string> read_all(ByteSource& source, std::size_t buffer_size = 4096) {
  std::string out;
  std::vector<std::byte> buffer(buffer_size);
  while (true) {
    NX_TRY(std::size_t n, source.read(buffer));
    if (n == 0) return out;
    out.append(reinterpret_cast<const char*>(buffer.data()), n);
  }
}

Result<std::string> inflate_text(const std::string& data, oci::Compression compression,
                                 std::size_t step = 4096, std::size_t buffer = 4096,
                                 const InflateLimits& limits = {}) {
  Trickle source(data, step);
  NX_TRY(auto inflated, inflate(source, compression, limits));
  return read_all(*inflated, buffer);
}

std::string gzip(std::string text) {
  isal_zstream stream{};
  isal_deflate_stateless_init(&stream);
  stream.gzip_flag = IGZIP_GZIP;
  stream.end_of_stream = 1;
  stream.flush = NO_FLUSH;
  std::string out(text.size() + 4096, '\0');
  stream.next_in = reinterpret_cast<std::uint8_t*>(text.data());
  stream.avail_in = static_cast<std::uint32_t>(text.size());
  stream.next_out = reinterpret_cast<std::uint8_t*>(out.data());
  stream.avail_out = static_cast<std::uint32_t>(out.size());
  EXPECT_EQ(isal_deflate_stateless(&stream), COMP_OK);
  out.resize(stream.total_out);
  return out;
}

std::string zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  std::size_t n = ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3);
  EXPECT_FALSE(ZSTD_isError(n));
  out.resize(n);
  return out;
}

/// 40 KB with some structure, so that blocks, matches and literals all occur.
std::string sample() {
  std::string text;
  std::uint32_t state = 1;
  while (text.size() < 40'000) {
    state = state * 1664525 + 1013904223;
    text += "line " + std::to_string(state >> 12) + (state % 7 == 0 ? " the same again\n" : "\n");
  }
  return text;
}

TEST(Hasher, KnownDigests) {
  EXPECT_EQ(sha256_of("").str(),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_of("abc").str(),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_ERROR(Hasher::create("md5"), Errc::Unsupported, HasSubstr("md5"));
}

TEST(VerifiedSource, AcceptsExactlyThePromise) {
  std::string text = "hello";
  auto check = [&](const std::string& data, std::uint64_t size) -> Result<std::string> {
    MemorySource source(bytes_of(data));
    NX_TRY(auto verified, VerifiedSource::create(source, sha256_of(text), size, "blob x"));
    return read_all(*verified);
  };
  auto good = check("hello", 5);
  ASSERT_OK(good);
  EXPECT_EQ(*good, "hello");
  EXPECT_ERROR(check("hellp", 5), Errc::InvalidImage, HasSubstr("blob x has digest"));
  EXPECT_ERROR(check("hell", 5), Errc::InvalidImage, HasSubstr("has 4 bytes, not 5"));
  EXPECT_ERROR(check("hello!", 5), Errc::InvalidImage, HasSubstr("longer than the promised 5"));
}

class Inflate : public ::testing::TestWithParam<oci::Compression> {
 protected:
  static std::string compress(const std::string& text) {
    return GetParam() == oci::Compression::gzip ? gzip(text) : zstd(text);
  }
};

TEST_P(Inflate, RoundTripInPiecesOfEverySize) {
  std::string text = sample();
  std::string data = compress(text);
  for (std::size_t step : {1, 7, 512, 65536})
    for (std::size_t buffer : {1, 13, 512, 262144}) {
      auto out = inflate_text(data, GetParam(), step, buffer);
      ASSERT_OK(out);
      EXPECT_EQ(*out, text) << step << " " << buffer;
    }
}

TEST_P(Inflate, SeveralMembersOneAfterTheOther) {
  std::string data = compress("one ") + compress("") + compress("two") + compress(sample());
  for (std::size_t step : {1, 5, 4096}) {
    auto out = inflate_text(data, GetParam(), step, 3);
    ASSERT_OK(out);
    EXPECT_EQ(*out, "one two" + sample());
  }
}

TEST_P(Inflate, EmptyContentIsFineEmptyFileIsNot) {
  auto out = inflate_text(compress(""), GetParam());
  ASSERT_OK(out);
  EXPECT_EQ(*out, "");
  EXPECT_ERROR(inflate_text("", GetParam()), Errc::InvalidImage, HasSubstr("ends too early"));
}

TEST_P(Inflate, CutAnywhereIsAnError) {
  std::string data = compress("some text that is worth a few bytes of compressed data");
  for (std::size_t length = 0; length < data.size(); ++length)
    EXPECT_FALSE(inflate_text(data.substr(0, length), GetParam()).has_value()) << length;
}

TEST_P(Inflate, TrailingGarbageIsAnError) {
  EXPECT_ERROR(inflate_text(compress("x") + "garbage", GetParam()), Errc::InvalidImage,
               HasSubstr("data at byte"));
}

TEST_P(Inflate, LimitsOutputAndRatio) {
  std::string data = compress(std::string(1'000'000, 'a'));
  InflateLimits small;
  small.max_output = 999'999;
  EXPECT_ERROR(inflate_text(data, GetParam(), 4096, 4096, small), Errc::InvalidImage,
               HasSubstr("more than 999999 bytes"));
  small.max_output = 1'000'000;
  EXPECT_OK(inflate_text(data, GetParam(), 4096, 4096, small));
  InflateLimits ratio;
  ratio.max_ratio = 10;
  ratio.ratio_after = 1000;
  EXPECT_ERROR(inflate_text(data, GetParam(), 4096, 4096, ratio), Errc::InvalidImage,
               HasSubstr("10 times its size"));
}

INSTANTIATE_TEST_SUITE_P(Formats, Inflate,
                         ::testing::Values(oci::Compression::gzip, oci::Compression::zstd));

TEST(Gzip, ZerosBehindTheLastMemberArePadding) {
  auto out = inflate_text(gzip("x") + std::string(1000, '\0'), oci::Compression::gzip, 100);
  ASSERT_OK(out);
  EXPECT_EQ(*out, "x");
  EXPECT_FALSE(inflate_text(gzip("x") + std::string(10, '\0') + gzip("y"), oci::Compression::gzip));
}

/// A member of the empty text with this flag byte and these optional fields.
std::string gzip_with_header(char flags, const std::string& fields) {
  return std::string("\x1f\x8b\x08", 3) + flags + std::string(6, '\0') + fields +
         std::string("\x03\x00\0\0\0\0\0\0\0\0", 10);
}

TEST(Gzip, OptionalFieldsOfTheHeader) {
  for (std::size_t step : {1, 3, 4096}) {
    auto inflated = [&](char flags, const std::string& fields) {
      return inflate_text(gzip_with_header(flags, fields), oci::Compression::gzip, step);
    };
    EXPECT_OK(inflated(0, ""));
    EXPECT_OK(inflated('\x1c', std::string("\x02\0xyname\0comment\0", 17)));
    EXPECT_OK(inflated('\x02', "\x1d\x26"));  // zlib.crc32(header) & 0xffff
    EXPECT_ERROR(inflated('\x02', "\x1d\x27"), Errc::InvalidImage,
                 HasSubstr("checksum of the header"));
    EXPECT_ERROR(inflated('\x20', ""), Errc::InvalidImage, HasSubstr("reserved flags"));
  }
  EXPECT_ERROR(
      inflate_text(gzip_with_header('\x08', std::string(200'000, 'n')), oci::Compression::gzip),
      Errc::InvalidImage, HasSubstr("the header has no end"));
}

TEST(Gzip, EveryFlippedBitOfTheTrailerIsSeen) {
  std::string data = gzip("checked by CRC and length");
  for (std::size_t byte = data.size() - 8; byte < data.size(); ++byte)
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = data;
      damaged[byte] = static_cast<char>(damaged[byte] ^ (1 << bit));
      EXPECT_ERROR(inflate_text(damaged, oci::Compression::gzip), Errc::InvalidImage,
                   HasSubstr("wrong checksum"));
    }
}

TEST(Zstd, SkippableFramesAreSkipped) {
  std::string skippable(
      "\x50\x2a\x4d\x18\x03\x00\x00\x00"
      "abc",
      11);
  auto out = inflate_text(skippable + zstd("x") + skippable + zstd("y") + skippable,
                          oci::Compression::zstd, 2, 1);
  ASSERT_OK(out);
  EXPECT_EQ(*out, "xy");
  EXPECT_EQ(detect_compression(bytes_of(skippable)), oci::Compression::zstd);
}

TEST(Zstd, FormatsFromBeforeTheRfcAreRefused) {
  for (char version = '\x22'; version < '\x28'; ++version)
    EXPECT_ERROR(inflate_text(version + std::string("\xb5\x2f\xfd\0\0\0\0", 7),
                              oci::Compression::zstd, 1, 1),
                 Errc::InvalidImage, HasSubstr("no zstd frame begins here"));
}

TEST(Zstd, header_that_looks_like_a_frame_is_a_header) {
  // Asks for a dictionary; behind its magic number it reads as a skippable frame.
  const std::string data("\x28\xb5\x2f\xfd\x51\x2a\x4d\x18\x01\x00\x00\x00\x00\xfe", 14);
  for (const std::size_t step : {1, 5, 37, 4096})
    EXPECT_ERROR(inflate_text(data, oci::Compression::zstd, step, step), Errc::InvalidImage,
                 HasSubstr("zstd"));
}

TEST(DetectCompression, ByTheFirstBytes) {
  EXPECT_EQ(detect_compression(bytes_of(gzip("x"))), oci::Compression::gzip);
  EXPECT_EQ(detect_compression(bytes_of(zstd("x"))), oci::Compression::zstd);
  EXPECT_EQ(detect_compression(bytes_of("etc/passwd")), oci::Compression::none);
  EXPECT_EQ(detect_compression({}), oci::Compression::none);
}

class LayerStreamTest : public ::testing::Test {
 protected:
  /// Reads a layer to its end from a file with this content.
  static Result<std::uint64_t> read_layer(const std::string& content,
                                          const LayerStream::Promise& promise) {
    std::string name = ::testing::TempDir() + "/layer-XXXXXX";
    UniqueFd fd(::mkstemp(name.data()));
    if (!fd) return fail_errno("make a file");
    (void)::unlink(name.c_str());
    if (::pwrite(fd.get(), content.data(), content.size(), 0) !=
        static_cast<ssize_t>(content.size()))
      return fail_errno("write a file");
    NX_TRY(auto stream, LayerStream::open(fd.get(), promise));
    NX_CHECK(stream->finish());
    return stream->tar_bytes();
  }
};

TEST_F(LayerStreamTest, ChecksBlobAndDiffId) {
  std::string blob = gzip("content");
  LayerStream::Promise promise{.digest = sha256_of(blob),
                               .size = blob.size(),
                               .compression = oci::Compression::gzip,
                               .diff_id = sha256_of("content")};
  auto good = read_layer(blob, promise);
  ASSERT_OK(good);
  EXPECT_EQ(*good, 7u);

  LayerStream::Promise other = promise;
  other.diff_id = sha256_of("other");
  EXPECT_ERROR(read_layer(blob, other), Errc::InvalidImage, HasSubstr("(diff ID) has digest"));
  other = promise;
  other.digest = sha256_of("other");
  EXPECT_ERROR(read_layer(blob, other), Errc::InvalidImage, HasSubstr("blob has digest"));
  other = promise;
  other.size += 1;
  EXPECT_ERROR(read_layer(blob, other), Errc::InvalidImage, HasSubstr("bytes, not"));
}

}  // namespace
}  // namespace nexcage::image::content
