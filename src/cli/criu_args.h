// The options of `checkpoint` and `restore`, with runc's names (runc-checkpoint(8),
// runc-restore(8)).
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/cli/context.h"
#include "nexcage/cli/options.h"

namespace nexcage::cli {

class CriuArgs {
 public:
  void declare_checkpoint(Options& options);
  void declare_restore(Options& options);
  /// The options that were given, in the runtime's words; paths are absolute.
  Result<std::vector<std::string>> words() const;
  bool given(std::string_view option) const;
  /// Unsupported when the backend that the program's name fixes has neither verb.
  static Result<> check_backend(Context& context);

 private:
  enum class Kind : std::uint8_t { flag, text, path };
  struct Option {
    std::string name;
    Kind kind;
    bool set = false;
    std::string value{};
  };
  void declare_common(Options& options);
  void flag(Options& options, const char* name, const char* help);
  void text(Options& options, const char* name, const char* value, const char* help);
  void path(Options& options, const char* name, const char* help);

  std::deque<Option> given_;  // a deque: options keep the addresses of its elements
};

}  // namespace nexcage::cli
