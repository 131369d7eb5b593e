// Compression with gzip (RFC 1952), fast before small.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "nexcage/base/error.h"

namespace nexcage::image::content {

/// Compresses what it is given into a descriptor (borrowed). The same bytes give the same file.
class GzipWriter {
 public:
  explicit GzipWriter(int fd);
  GzipWriter(const GzipWriter&) = delete;
  GzipWriter& operator=(const GzipWriter&) = delete;
  ~GzipWriter();
  Result<> put(std::string_view bytes);
  /// The end; call it once.
  Result<> finish();
  /// Bytes that were written to the descriptor.
  std::uint64_t written() const { return written_; }

 private:
  struct State;
  Result<> run(std::string_view bytes, bool last);
  std::unique_ptr<State> state_;
  int fd_;
  std::uint64_t written_ = 0;
};

}  // namespace nexcage::image::content
