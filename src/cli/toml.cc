// A TOML file as the list of its leaves, for the table of configuration keys.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "nexcage/cli/config.h"
#include "nexcage/toml/value.h"

namespace nexcage::cli {
namespace {

void flatten(const toml::Table& table, const std::string& prefix, std::vector<TomlEntry>& out);

bool is_array_of_tables(const toml::Array& list) {
  return !list.empty() && std::ranges::all_of(list, [](const toml::Value& element) {
    return element.if_table() != nullptr;
  });
}

/// The leaves of each table of an array, numbered from 1.
void flatten_tables(const toml::Array& list, const std::string& key, std::vector<TomlEntry>& out) {
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::size_t first = out.size();
    flatten(*list[i].if_table(), key + ".", out);
    if (out.size() == first) out.push_back({key, {}, "an empty table", list[i].line, 0});
    for (std::size_t n = first; n < out.size(); ++n) out[n].table = i + 1;
  }
}

/// Leaves of the tables, depth first; an empty table of an unknown name is a leaf too, so that it
/// is reported.
void flatten(const toml::Table& table, const std::string& prefix, std::vector<TomlEntry>& out) {
  for (const auto& [name, value] : table) {
    const std::string key = prefix + name;
    const toml::Table* inner = value.if_table();
    if (inner != nullptr && !inner->empty()) {
      flatten(*inner, key + ".", out);
      continue;
    }
    // An empty table sets nothing; it may stand for a section whose lines are all comments.
    if (inner != nullptr && prefix.empty()) continue;
    if (const toml::Array* list = value.if_array(); list != nullptr && is_array_of_tables(*list)) {
      flatten_tables(*list, key, out);
      continue;
    }
    TomlEntry entry{key, {}, std::string(value.type), value.line, 0};
    if (const std::string* text = value.if_string()) entry.value = *text;
    if (const std::int64_t* number = value.if_integer()) entry.value = *number;
    out.push_back(std::move(entry));
  }
}

}  // namespace

Result<std::vector<TomlEntry>> parse_toml(std::string_view text, const std::string& file) {
  NX_TRY(const toml::Table table, toml::parse(text, file));
  std::vector<TomlEntry> entries;
  flatten(table, "", entries);
  return entries;
}

}  // namespace nexcage::cli
