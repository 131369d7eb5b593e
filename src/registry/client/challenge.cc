#include "nexcage/registry/client/challenge.h"

#include <algorithm>

#include "nexcage/base/text.h"

namespace nexcage::registry::client {

namespace {

constexpr std::size_t kMaxHeader = 16u << 10;

/// token of RFC 9110, 5.6.2, and the further characters of token68.
bool is_token(char c) {
  const bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  return alnum || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}
bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

/// Reads from the front of what is left.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : left_(text) {}

  bool empty() const { return left_.empty(); }
  void skip(std::string_view any_of) {
    left_.remove_prefix(std::min(left_.find_first_not_of(any_of), left_.size()));
  }
  bool take(char c) {
    if (left_.empty() || left_.front() != c) return false;
    left_.remove_prefix(1);
    return true;
  }
  std::string_view token() {
    const auto* end = std::ranges::find_if_not(left_, is_token);
    const std::string_view found(left_.begin(), end);
    left_.remove_prefix(found.size());
    return found;
  }
  /// After the opening quote; nullopt when the closing one is missing.
  std::optional<std::string> rest_of_quoted() {
    std::string value;
    while (!left_.empty()) {
      char c = left_.front();
      left_.remove_prefix(1);
      if (c == '"') return value;
      if (c == '\\' && !left_.empty()) {
        c = left_.front();
        left_.remove_prefix(1);
      }
      value += c;
    }
    return std::nullopt;
  }
  Scanner save() const { return *this; }

 private:
  std::string_view left_;
};

struct Parameter {
  std::string name, value;
};

/// name=value; nullopt, and nothing consumed, when something else follows.
std::optional<Parameter> read_parameter(Scanner& scanner) {
  Scanner ahead = scanner.save();
  const std::string_view name = ahead.token();
  ahead.skip(" \t");
  if (name.empty() || !ahead.take('=')) return std::nullopt;
  ahead.skip(" \t");
  Parameter parameter{.name = to_lower(name), .value = {}};
  if (ahead.take('"')) {
    auto quoted = ahead.rest_of_quoted();
    if (!quoted) return std::nullopt;
    parameter.value = *std::move(quoted);
  } else {
    const std::string_view value = ahead.token();
    if (value.empty()) return std::nullopt;
    parameter.value = value;
  }
  scanner = ahead;
  return parameter;
}

}  // namespace

std::string_view Challenge::parameter(std::string_view name) const {
  for (const auto& [key, value] : parameters)
    if (key == name) return value;
  return {};
}

std::vector<Challenge> parse_challenges(std::string_view header) {
  std::vector<Challenge> challenges;
  Scanner scanner(header.substr(0, kMaxHeader));
  while (true) {
    scanner.skip(" \t,");
    const std::string_view scheme = scanner.token();
    if (scheme.empty()) return challenges;
    Challenge& challenge = challenges.emplace_back();
    challenge.scheme = to_lower(scheme);
    scanner.skip(" \t");
    while (true) {
      scanner.skip(" \t,");
      auto parameter = read_parameter(scanner);
      if (!parameter) break;
      if (std::ranges::none_of(parameter->value, is_control))
        challenge.parameters.emplace_back(std::move(parameter->name), std::move(parameter->value));
    }
  }
}

std::optional<Challenge> choose_challenge(const std::vector<std::string_view>& headers) {
  std::optional<Challenge> basic;
  for (std::string_view header : headers) {
    for (Challenge& challenge : parse_challenges(header)) {
      if (challenge.scheme == "bearer" && !challenge.parameter("realm").empty())
        return std::move(challenge);
      if (challenge.scheme == "basic" && !basic) basic = std::move(challenge);
    }
  }
  return basic;
}

}  // namespace nexcage::registry::client
