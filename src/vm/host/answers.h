// What was found out about programs and kernels of this host, so that it is not tried each time.
#pragma once

#include <string>
#include <string_view>

#include "nexcage/base/error.h"
#include "nexcage/json/value.h"

namespace nexcage::vm::host {

/// A file with answers by key, which count for this boot of the host.
class Answers {
 public:
  /// `directory` is made when the first answer is kept.
  Answers(std::string directory, const std::string& file)
      : directory_(std::move(directory)), path_(directory_ + "/" + file) {}

  /// Empty: not known. So is everything in a file that is damaged or of another boot.
  std::string find(const std::string& key) const;
  /// Whoever writes at the same time may take it away again: then the same is found out once more.
  /// FileError when the file cannot be written.
  Result<> keep(const std::string& key, std::string_view answer) const;

 private:
  json::Object all() const;
  std::string directory_, path_;
};

/// Path, size and time of change of a file, for a key: it is another one when one of them is
/// another.
std::string identity_of_file(const std::string& path);

}  // namespace nexcage::vm::host
