#include "nexcage/pve/property_string.h"

#include <algorithm>

#include "nexcage/base/text.h"
#include "nexcage/pve/line.h"

namespace nexcage::pve {

using Entry = std::pair<std::string, std::string>;

Result<Properties> Properties::parse(std::string_view text) {
  Properties made;
  for (const std::string& part : split(text, ',')) {
    const std::size_t equals = part.find('=');
    // A path or volume name may hold '=' behind a slash or colon; keys hold neither.
    const bool has_key =
        equals != std::string::npos && part.find_first_of("/:") >= equals && equals > 0;
    std::string key = has_key ? part.substr(0, equals) : std::string();
    if (part.empty() || made.find(key))
      return fail(Errc::InvalidConfig, "property string " + quote(text) + ": " +
                                           (part.empty() ? "an empty part" : quote(part)) +
                                           " cannot stand there");
    made.values_.emplace_back(std::move(key), has_key ? part.substr(equals + 1) : part);
  }
  return made;
}

std::optional<std::string> Properties::find(std::string_view key) const {
  const auto found = std::ranges::find(values_, key, &Entry::first);
  if (found == values_.end()) return std::nullopt;
  return found->second;
}

Properties& Properties::set(std::string_view key, std::string value) {
  const auto found = std::ranges::find(values_, key, &Entry::first);
  if (found != values_.end())
    found->second = std::move(value);
  else
    values_.emplace_back(key, std::move(value));
  return *this;
}

Properties& Properties::erase(std::string_view key) {
  std::erase_if(values_, [&](const Entry& entry) { return entry.first == key; });
  return *this;
}

Result<std::string> Properties::print(std::string_view field) const {
  std::string text;
  for (const auto& [key, value] : values_) {
    NX_CHECK(check_line(field, value));
    if (value.find(',') != std::string::npos)
      return fail(Errc::InvalidConfig, std::string(field) + ": " + quote(value) +
                                           " holds a comma, which separates values there");
    if (!text.empty()) text += ',';
    text += key.empty() ? value : key + "=" + value;
  }
  return text;
}

}  // namespace nexcage::pve
