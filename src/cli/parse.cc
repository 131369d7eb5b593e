// The only translation unit that sees CLI11: it compiles slowly and its types stay in here.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "nexcage/base/text.h"
#include "nexcage/cli/options.h"

namespace nexcage::cli {
namespace {

/// CLI11 reads "--name=" as "--name" and takes the next word for the value. The empty value is
/// marked before the parse and unmarked after it.
constexpr std::string_view kEmptyMark = "\x01nexcage-empty\x01";

std::string mark_empty(const std::string& word) {
  const bool bare = word.size() > 3 && word.starts_with("--") && word.find('=') == word.size() - 1;
  return bare ? word + std::string(kEmptyMark) : word;
}

std::string unmark(std::string word) {
  if (word.ends_with(kEmptyMark)) word.resize(word.size() - kEmptyMark.size());
  return word;
}

/// Binds one option to its target.
struct Declare {
  CLI::App& app;
  const Option& option;

  void operator()(bool* target) const { app.add_flag(option.names, *target, ""); }
  void operator()(std::optional<bool>* target) const {
    const auto word = std::make_shared<std::string>();
    const std::string names = option.names;
    app.add_flag(names, *word, "")->each([target, word, names](const std::string& value) {
      try {
        *target = CLI::detail::to_flag_value(value) > 0;
      } catch (const std::exception&) {  // of std::stoll
        throw CLI::ConversionError(names, std::vector<std::string>{value});
      }
    });
  }
  void operator()(std::string* target) const {
    take([target](const CLI::results_t& values) { *target = unmark(values.back()); });
  }
  void operator()(std::optional<std::string>* target) const {
    take([target](const CLI::results_t& values) { *target = unmark(values.back()); });
  }
  void operator()(std::vector<std::string>* target) const {
    take([target](const CLI::results_t& values) {
      for (const std::string& value : values) target->push_back(unmark(value));
    });
  }

  template <class Store>
  void take(Store store) const {
    CLI::Option* added = app.add_option(option.names, [store](const CLI::results_t& values) {
      store(values);
      return true;
    });
    // One value per occurrence, kept as it is: no lists in brackets, no second word.
    added->type_size(1)->expected(1)->allow_extra_args(false);
    added->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  }
};

Error unknown_option(const Options& options, const std::string& word) {
  const std::string name = word.starts_with("--") ? word.substr(0, word.find('=')) : word;
  Error error(Errc::InvalidSpec, "unknown option " + name);
  std::vector<std::string> names;
  for (std::string& known : options.names())
    if (known.starts_with("--")) names.push_back(std::move(known));
  if (const auto near = name.starts_with("--") ? closest(name, names) : std::nullopt)
    return std::move(error).hint("Did you mean " + *near + "?");
  return error;
}

/// What CLI11 left over: other words, and options that it does not know.
Result<std::vector<std::string>> other_words(const Options& options, Order order,
                                             std::vector<std::string> left) {
  std::vector<std::string> words;
  bool options_ended = false;
  for (std::string& marked : left) {
    std::string word = unmark(std::move(marked));
    if (!options_ended && word == "--") {
      options_ended = true;
      continue;
    }
    if (!options_ended && word.size() > 1 && word[0] == '-')
      return fail(unknown_option(options, word));
    if (order == Order::options_first) options_ended = true;
    words.push_back(std::move(word));
  }
  return words;
}

}  // namespace

Result<std::vector<std::string>> parse_options(const Options& options, Order order,
                                               std::span<const std::string> arguments) {
  try {
    CLI::App app;
    app.set_help_flag("");
    app.allow_extras();
    if (order == Order::options_first) app.prefix_command();
    for (const Option& option : options.all()) std::visit(Declare{app, option}, option.target);

    std::vector<std::string> reversed;  // as CLI11 wants it
    reversed.reserve(arguments.size());
    for (const std::string& word : arguments) reversed.push_back(mark_empty(word));
    std::ranges::reverse(reversed);
    app.parse(std::move(reversed));
    return other_words(options, order, app.remaining());
  } catch (const CLI::ArgumentMismatch& error) {
    // "--name: 1 required ...": the option's name is all that is of use in it.
    const std::string text = error.what();
    return fail(Errc::InvalidSpec, "option " + text.substr(0, text.find(':')) + " needs a value");
  } catch (const CLI::Error& error) {
    return fail(Errc::InvalidSpec, error.what());
  }
}

}  // namespace nexcage::cli
