// A password or token. It has no conversion to text, so that it reaches no message, no log and no
// command line by accident; who sends it says reveal().
#pragma once

#include <cstring>
#include <string>
#include <utility>

namespace nexcage::registry {

/// Owns the text and overwrites it when it goes, and when it is moved away.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string text) : text_(std::move(text)) {}
  Secret(const Secret&) = default;
  Secret(Secret&& other) noexcept : text_(std::exchange(other.text_, {})) { other.wipe(); }
  Secret& operator=(const Secret& other) {
    if (this != &other) *this = Secret(other);
    return *this;
  }
  Secret& operator=(Secret&& other) noexcept {
    text_.swap(other.text_);
    other.wipe();
    return *this;
  }
  ~Secret() { wipe(); }

  /// For a request, a file of the user's, or a credential helper's input only.
  const std::string& reveal() const { return text_; }
  bool empty() const { return text_.empty(); }
  bool operator==(const Secret&) const = default;

 private:
  void wipe() {
    text_.resize(text_.capacity());
    ::explicit_bzero(text_.data(), text_.size());
    text_.clear();
  }
  std::string text_;
};

}  // namespace nexcage::registry
