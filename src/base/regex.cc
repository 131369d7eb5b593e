#include "nexcage/base/regex.h"

#include <array>
#include <utility>

#include "nexcage/base/text.h"

namespace nexcage {

Result<Regex> Regex::compile(const std::string& text) {
  auto expression = std::make_unique<regex_t>();
  const int error = ::regcomp(expression.get(), text.c_str(), REG_EXTENDED | REG_NOSUB);
  if (error != 0) {
    std::array<char, 128> why{};
    ::regerror(error, expression.get(), why.data(), why.size());
    return fail(Errc::InvalidConfig,
                "regular expression " + quote(text) + ": " + std::string(why.data()));
  }
  return Regex(text, {expression.release(), [](const regex_t* compiled) {
                        // regfree(3) frees what is inside only.
                        const std::unique_ptr<regex_t> owned(const_cast<regex_t*>(compiled));
                        ::regfree(owned.get());
                      }});
}

bool Regex::matches(const std::string& text) const {
  return ::regexec(compiled_.get(), text.c_str(), 0, nullptr, 0) == 0;
}

}  // namespace nexcage
