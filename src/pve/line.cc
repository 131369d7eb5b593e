#include "nexcage/pve/line.h"

#include "nexcage/base/text.h"

namespace nexcage::pve {

namespace {

bool is_control(std::string_view value, std::size_t at) {
  const auto byte = static_cast<unsigned char>(value[at]);
  if (byte < 0x20 || byte == 0x7F) return true;
  // C1 controls in UTF-8: C2 80 .. C2 9F; among them NEL, which some readers take for a line break.
  if (byte != 0xC2 || at + 1 >= value.size()) return false;
  const auto next = static_cast<unsigned char>(value[at + 1]);
  return next >= 0x80 && next <= 0x9F;
}

}  // namespace

Result<> check_line(std::string_view field, std::string_view value) {
  for (std::size_t at = 0; at < value.size(); ++at)
    if (is_control(value, at))
      return fail(Errc::InvalidConfig, std::string(field) + ": " + quote(value) +
                                           " holds a control character at byte " +
                                           std::to_string(at));
  return {};
}

}  // namespace nexcage::pve
