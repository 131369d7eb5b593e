// Authentication challenges: the WWW-Authenticate header (RFC 9110, 11.6.1). Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nexcage::registry::client {

struct Challenge {
  std::string scheme;                                           // lower case: "basic", "bearer"
  std::vector<std::pair<std::string, std::string>> parameters;  // names in lower case
  /// "" when absent.
  std::string_view parameter(std::string_view name) const;
};

/// All challenges of one header value, in order. What cannot be read ends the list: the challenges
/// before it still count. Values are unquoted; one with a control character is left out.
std::vector<Challenge> parse_challenges(std::string_view header);

/// The challenge we can answer: bearer with a realm before basic; nullopt when there is none.
std::optional<Challenge> choose_challenge(const std::vector<std::string_view>& headers);

}  // namespace nexcage::registry::client
