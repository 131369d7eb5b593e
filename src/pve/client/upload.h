// A file as the body of an upload: the API takes multipart/form-data whose parts come in one order.
#pragma once

#include <cstdint>
#include <string>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/registry/client/http.h"

namespace nexcage::pve::client {

class FileBody final : public registry::client::BodySource {
 public:
  /// `content` is vztmpl, iso or import; `sha256` in hexadecimal digits; empty:
  /// to be computed first. FileError for a file that
  /// cannot be read; InvalidConfig for a name that could leave its quotes.
  static Result<std::unique_ptr<FileBody>> open(const std::string& path, const std::string& name,
                                                const std::string& content,
                                                const std::string& known_sha256);
  const std::string& content_type() const { return content_type_; }
  std::uint64_t size() const override { return head_.size() + file_size_ + tail_.size(); }
  Result<std::size_t> read(std::uint64_t offset, std::span<std::byte> buffer) override;

 private:
  FileBody() = default;
  std::string head_, tail_, content_type_;
  UniqueFd file_;
  std::uint64_t file_size_ = 0;
};

}  // namespace nexcage::pve::client
