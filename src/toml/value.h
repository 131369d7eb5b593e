// TOML as a value. The only place that reads TOML text (toml.io, version 1.0).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "nexcage/base/error.h"

namespace nexcage::toml {

struct Value;
struct Member;

using Array = std::vector<Value>;
/// The keys of one table, sorted; they are unique.
using Table = std::vector<Member>;

/// A value and the line it stands on. Floating-point numbers, dates and times are monostate: no
/// configuration takes them, `type` says what they are.
struct Value {
  std::variant<std::monostate, bool, std::int64_t, std::string, Array, Table> data;
  std::string_view type;  // "a string", "an array", "a date or time" ...: for messages
  std::uint32_t line = 0;

  const bool* if_bool() const { return std::get_if<bool>(&data); }
  const std::int64_t* if_integer() const { return std::get_if<std::int64_t>(&data); }
  const std::string* if_string() const { return std::get_if<std::string>(&data); }
  const Array* if_array() const { return std::get_if<Array>(&data); }
  const Table* if_table() const { return std::get_if<Table>(&data); }
};

/// A key of a table. No std::pair: that needs a complete Value, which a Table is part of.
struct Member {
  std::string first;
  Value second;
};

/// nullptr when the table has no such key.
const Value* find(const Table& table, std::string_view key);

/// Parses one file's text. ConfigError "FILE:LINE: why" for bad syntax.
Result<Table> parse(std::string_view text, const std::string& file);

}  // namespace nexcage::toml
