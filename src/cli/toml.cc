// The only translation unit that sees toml++, without its exceptions and its writers.
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#define TOML_ENABLE_UNRELEASED_FEATURES 0
#include <toml++/toml.h>

#include <string>
#include <utility>
#include <vector>

#include "nexcage/cli/config.h"

namespace nexcage::cli {
namespace {

std::string type_text(toml::node_type type) {
  switch (type) {
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a floating-point number";
    case toml::node_type::boolean:
      return "a boolean";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::table:
      return "a table";
    default:
      return "a date or time";
  }
}

void flatten(const toml::table& table, const std::string& prefix, std::vector<TomlEntry>& out);

/// The leaves of each table of an array, numbered from 1.
void flatten_tables(const toml::array& list, const std::string& key, std::vector<TomlEntry>& out) {
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::size_t first = out.size();
    flatten(*list.get_as<toml::table>(i), key + ".", out);
    if (out.size() == first)
      out.push_back({key, {}, "an empty table", list.get(i)->source().begin.line, 0});
    for (std::size_t n = first; n < out.size(); ++n) out[n].table = i + 1;
  }
}

/// Leaves of the tables, depth first; an empty table of an unknown name is a leaf too, so that it
/// is reported.
void flatten(const toml::table& table, const std::string& prefix, std::vector<TomlEntry>& out) {
  for (const auto& [name, node] : table) {
    const std::string key = prefix + std::string(name.str());
    const toml::table* inner = node.as_table();
    if (inner != nullptr && !inner->empty()) {
      flatten(*inner, key + ".", out);
      continue;
    }
    // An empty table sets nothing; it may stand for a section whose lines are all comments.
    if (inner != nullptr && prefix.empty()) continue;
    if (const toml::array* list = node.as_array(); list != nullptr && list->is_array_of_tables()) {
      flatten_tables(*list, key, out);
      continue;
    }
    TomlEntry entry{key, {}, type_text(node.type()), node.source().begin.line, 0};
    if (const auto* text = node.as_string()) entry.value = text->get();
    if (const auto* number = node.as_integer()) entry.value = number->get();
    out.push_back(std::move(entry));
  }
}

}  // namespace

Result<std::vector<TomlEntry>> parse_toml(std::string_view text, const std::string& file) {
  const toml::parse_result parsed = toml::parse(text, file);
  if (!parsed) {
    const toml::parse_error& error = parsed.error();
    return fail(Errc::ConfigError, file + ":" + std::to_string(error.source().begin.line) + ": " +
                                       std::string(error.description()));
  }
  std::vector<TomlEntry> entries;
  flatten(parsed.table(), "", entries);
  return entries;
}

}  // namespace nexcage::cli
