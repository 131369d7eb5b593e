// The container state that the runtime writes and reads again.
#include "nexcage/oci/state.h"

#include "harness.h"

namespace nexcage::fuzz {

NX_HARNESS(state) {
  const std::string_view text = text_of(data, size);
  if (oci::check_container_id(text)) {
    check(!text.empty() && text.size() <= 255 && text != "." && text != "..",
          "an id can be a directory");
    check(text.find_first_of(std::string_view("/\0", 2)) == std::string_view::npos,
          "an id is one path component");
  }
  const auto value = json::parse(text);
  if (!value) return 0;
  const auto state = oci::parse_state(*value);
  if (!state) {
    check_message(state.error());
    return 0;
  }
  check(state->pid >= 0, "a pid is never a process group");
  check(oci::check_container_id(state->id).has_value(), "the id is checked");
  const json::Value written = oci::to_json(*state);
  const auto again = oci::parse_state(written);
  check(again.has_value(), "what is written is accepted");
  check(json::dump(oci::to_json(*again)) == json::dump(written), "writing is stable");
  return 0;
}

}  // namespace nexcage::fuzz
