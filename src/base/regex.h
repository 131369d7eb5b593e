// POSIX extended regular expressions (regex(7)), as grep -E has them.
#pragma once

#include <regex.h>

#include <memory>
#include <string>

#include "nexcage/base/error.h"

namespace nexcage {

/// A compiled expression. Copies share it; matching does not change it.
class Regex {
 public:
  /// InvalidConfig with the reason when the text is no expression.
  static Result<Regex> compile(const std::string& text);
  /// Somewhere in the text, unless the expression is anchored.
  bool matches(const std::string& text) const;
  const std::string& text() const { return text_; }

 private:
  Regex(std::string text, std::shared_ptr<const regex_t> compiled)
      : text_(std::move(text)), compiled_(std::move(compiled)) {}
  std::string text_;
  std::shared_ptr<const regex_t> compiled_;
};

}  // namespace nexcage
