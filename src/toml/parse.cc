// The only translation unit that sees toml++, without its exceptions and its writers.
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#define TOML_ENABLE_UNRELEASED_FEATURES 0
#include <toml++/toml.h>

#include <algorithm>

#include "nexcage/base/text.h"
#include "nexcage/toml/value.h"

namespace nexcage::toml {
namespace {

std::string_view type_text(::toml::node_type type) {
  switch (type) {
    case ::toml::node_type::string:
      return "a string";
    case ::toml::node_type::integer:
      return "an integer";
    case ::toml::node_type::floating_point:
      return "a floating-point number";
    case ::toml::node_type::boolean:
      return "a boolean";
    case ::toml::node_type::array:
      return "an array";
    case ::toml::node_type::table:
      return "a table";
    default:
      return "a date or time";
  }
}

Table convert(const ::toml::table& table);

Value convert(const ::toml::node& node) {
  Value out{{}, type_text(node.type()), node.source().begin.line};
  if (const auto* flag = node.as_boolean()) out.data = flag->get();
  if (const auto* number = node.as_integer()) out.data = number->get();
  if (const auto* text = node.as_string()) out.data = text->get();
  if (const auto* table = node.as_table()) out.data = convert(*table);
  if (const auto* list = node.as_array()) {
    Array& array = out.data.emplace<Array>();
    for (const ::toml::node& element : *list) array.push_back(convert(element));
  }
  return out;
}

/// toml++ keeps the keys sorted.
Table convert(const ::toml::table& table) {
  Table out;
  for (const auto& [name, node] : table)
    out.push_back({.first = std::string(name.str()), .second = convert(node)});
  return out;
}

}  // namespace

const Value* find(const Table& table, std::string_view key) {
  const auto found = std::ranges::find(table, key, &Table::value_type::first);
  return found == table.end() ? nullptr : &found->second;
}

Result<Table> parse(std::string_view text, const std::string& file) {
  const ::toml::parse_result parsed = ::toml::parse(text, file);
  if (parsed) return convert(parsed.table());
  const std::string why(parsed.error().description());
  return fail(Errc::ConfigError, file + ":" + std::to_string(parsed.error().source().begin.line) +
                                     ": " + (is_printable(why) ? why : quote(why)));
}

}  // namespace nexcage::toml
