// What a verb accepts, as data: filled by the verb, read by the parser and by --help.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "nexcage/base/error.h"

namespace nexcage::cli {

/// One option and where its value goes. The target outlives the parse.
struct Option {
  using Target = std::variant<bool*, std::optional<bool>*, std::string*,
                              std::optional<std::string>*, std::vector<std::string>*>;
  std::string names;  // "-e,--env"
  std::string value;  // "NAME=VALUE" as shown in help; empty for a flag
  std::string help;   // one sentence
  Target target;
  bool hidden = false;  // accepted, not shown in help
};

/// The options of one verb, in the order in which help shows them.
class Options {
 public:
  /// A switch: `--name`, or `--name=true|false`.
  Options& flag(std::string names, bool& target, std::string help);
  /// A switch that also can be not given.
  Options& flag(std::string names, std::optional<bool>& target, std::string help);
  /// An option with one value; given twice, the last one counts.
  Options& text(std::string names, std::string value, std::string& target, std::string help);
  Options& text(std::string names, std::string value, std::optional<std::string>& target,
                std::string help);
  /// An option that may be repeated; the values are kept in order.
  Options& list(std::string names, std::string value, std::vector<std::string>& target,
                std::string help);
  /// Hides the option declared last.
  Options& hidden();

  const std::vector<Option>& all() const { return options_; }
  /// Every name with its dashes: "-e", "--env" ...
  std::vector<std::string> names() const;

 private:
  std::vector<Option> options_;
};

/// Where options may stand.
enum class Order : std::uint8_t {
  anywhere,       // between and after the other words, until "--"
  options_first,  // everything from the first other word on is passed on untouched
};

/// Fills the options' targets and returns the other words. InvalidSpec with a suggestion for an
/// unknown option, a missing value, or a switch with a value that is no boolean.
Result<std::vector<std::string>> parse_options(const Options& options, Order order,
                                               std::span<const std::string> arguments);

}  // namespace nexcage::cli
