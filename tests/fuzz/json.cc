// JSON text: what is accepted is written so that it is read as the same value.
#include "harness.h"

namespace nexcage::fuzz {

NX_HARNESS(json) {
  const auto value = json::parse(text_of(data, size));
  if (!value) {
    check(value.error().code() == Errc::InvalidJson, "the code is InvalidJson");
    check(value.error().message().starts_with("line ") || size > json::Limits().max_bytes,
          "a refusal says where");
    check_message(value.error());
    return 0;
  }
  for (const json::Style style : {json::Style::compact, json::Style::pretty}) {
    const auto again = json::parse(json::dump(*value, style));
    check(again.has_value(), "what is written is accepted");
    check(*again == *value, "parse(dump(v)) == v");
  }
  return 0;
}

}  // namespace nexcage::fuzz
