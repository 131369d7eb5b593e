// The [[runtime.rule]] tables of a configuration file.
#include <algorithm>
#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/cli/config.h"

namespace nexcage::cli {
namespace {

using runtime::RouteRule;

constexpr std::string_view kPrefix = "runtime.rule.";

std::string place(const TomlEntry& entry, const std::string& file) {
  return file + ":" + std::to_string(entry.line);
}

Result<> check_backend(const std::string& name) {
  const std::vector<std::string> known = backends::backend_names();
  if (std::ranges::find(known, name) != known.end()) return {};
  Error error(Errc::ConfigError, "unknown backend " + quote(name));
  if (const auto near = closest(name, known))
    return fail(std::move(error).hint("Did you mean " + *near + "?"));
  return fail(std::move(error).hint("One of: " + join(known, ", ")));
}

Result<> set_member(RouteRule& rule, std::string_view name, const std::string& text) {
  if (name == "runtime") {
    rule.backend = text;
    return check_backend(text);
  }
  if (name != "id" && name != "image")
    return fail(Error(Errc::ConfigError, "unknown key " + quote(name))
                    .hint("A rule has id, image and runtime."));
  NX_TRY(Regex expression, Regex::compile(text));
  (name == "id" ? rule.id : rule.image) = std::move(expression);
  return {};
}

Result<> set_from(RouteRule& rule, const TomlEntry& entry, const std::string& file) {
  if (entry.table == 0 || !entry.key.starts_with(kPrefix))
    return fail(Error(Errc::ConfigError, place(entry, file) + ": runtime.rule: found " + entry.type)
                    .hint("Rules are tables: [[runtime.rule]]"));
  const std::string_view name = std::string_view(entry.key).substr(kPrefix.size());
  const auto* text = std::get_if<std::string>(&entry.value);
  if (text == nullptr)
    return fail(Errc::ConfigError,
                place(entry, file) + ": " + entry.key + ": expected a string, found " + entry.type);
  if (auto done = set_member(rule, name, *text); !done)
    return fail(
        std::move(done).error().as(Errc::ConfigError).wrap(place(entry, file) + ": " + entry.key));
  return {};
}

Result<> check_whole(const RouteRule& rule) {
  if (rule.backend.empty())
    return fail(Errc::ConfigError, rule.origin + ": runtime.rule: names no runtime");
  if (!rule.id && !rule.image)
    return fail(Error(Errc::ConfigError, rule.origin + ": runtime.rule: has neither id nor image")
                    .hint("For every container set runtime.default."));
  return {};
}

}  // namespace

Result<> Configuration::add_rules(std::span<const TomlEntry> entries, const std::string& file) {
  std::vector<RouteRule> rules;
  std::vector<std::uint32_t> lines;
  for (const TomlEntry& entry : entries) {
    if (!is_rule(entry)) continue;
    rules.resize(std::max({rules.size(), static_cast<std::size_t>(entry.table), std::size_t{1}}));
    lines.resize(rules.size());
    const std::size_t index = entry.table == 0 ? 0 : entry.table - 1;
    NX_CHECK(set_from(rules[index], entry, file));
    std::uint32_t& line = lines[index];
    line = line == 0 ? entry.line : std::min(line, entry.line);
    rules[index].origin = file + ":" + std::to_string(line);
  }
  for (RouteRule& rule : rules) {
    NX_CHECK(check_whole(rule));
    settings_.rules.push_back(std::move(rule));
  }
  return {};
}

bool is_rule(const TomlEntry& entry) {
  return entry.key == "runtime.rule" || entry.key.starts_with(kPrefix);
}

}  // namespace nexcage::cli
