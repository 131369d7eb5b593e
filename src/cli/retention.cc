#include "nexcage/cli/retention.h"

#include "nexcage/base/text.h"

namespace nexcage::cli {

Result<std::optional<runtime::Retention>> parse_keep(const std::string& text,
                                                     const std::string& beginning) {
  if (text.empty()) return std::optional<runtime::Retention>();
  const auto count = parse_u64(text);
  if (!count || *count == 0)
    return fail(Errc::InvalidSpec, "--keep " + quote(text) + ": expected a number from 1");
  return std::optional(runtime::Retention{.keep = *count, .beginning = beginning});
}

}  // namespace nexcage::cli
