// JSON as a value. The only place that reads and writes JSON text (RFC 8259).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "nexcage/base/error.h"

namespace nexcage::json {

class Value;

/// Members in the order of the text; names are unique (the parser refuses duplicates).
using Member = std::pair<std::string, Value>;
using Array = std::vector<Value>;

/// An object: an ordered list of members with look-up by name (linear; documents are small).
class Object {
 public:
  const Value* find(std::string_view name) const;
  Value* find(std::string_view name);
  /// The string that is the member of this name; empty when it is missing or no string.
  std::string text(std::string_view name) const;
  /// Replaces the member of this name in place, or appends it.
  Value& set(std::string name, Value value);
  /// Appends without looking for the name: for builders that know it to be new, in constant time.
  Value& append(std::string name, Value value);
  bool erase(std::string_view name);
  // Defined below Value: a member cannot be measured before it is complete.
  std::size_t size() const;
  bool empty() const;
  std::vector<Member>::const_iterator begin() const;
  std::vector<Member>::const_iterator end() const;
  /// Equal members under equal names; the order does not count.
  bool operator==(const Object& other) const;

 private:
  std::vector<Member> members_;
};

/// Any JSON value. Integers stay integers: int64_t when they fit, uint64_t above that.
class Value {
 public:
  using Storage = std::variant<std::nullptr_t, bool, std::int64_t, std::uint64_t, double,
                               std::string, Array, Object>;

  Value() : data_(nullptr) {}
  Value(std::nullptr_t) : data_(nullptr) {}
  Value(bool v) : data_(v) {}
  Value(int v) : data_(std::int64_t{v}) {}
  Value(unsigned v) : data_(std::int64_t{v}) {}
  Value(std::int64_t v) : data_(v) {}
  Value(std::uint64_t v);  // stored as int64_t when it fits, so that equal numbers compare equal
  Value(double v) : data_(v) {}
  Value(const char* v) : data_(std::string(v)) {}
  Value(std::string_view v) : data_(std::string(v)) {}
  Value(std::string v) : data_(std::move(v)) {}
  Value(Array v) : data_(std::move(v)) {}
  Value(Object v) : data_(std::move(v)) {}

  bool is_null() const { return std::holds_alternative<std::nullptr_t>(data_); }
  const bool* if_bool() const { return std::get_if<bool>(&data_); }
  const std::string* if_string() const { return std::get_if<std::string>(&data_); }
  const Array* if_array() const { return std::get_if<Array>(&data_); }
  Array* if_array() { return std::get_if<Array>(&data_); }
  const Object* if_object() const { return std::get_if<Object>(&data_); }
  Object* if_object() { return std::get_if<Object>(&data_); }
  /// The integer if it is one and fits.
  std::optional<std::int64_t> as_i64() const;
  std::optional<std::uint64_t> as_u64() const;
  /// Member of an object, or nullptr (also when this is no object).
  const Value* find(std::string_view name) const;
  /// The string, or the one that is the member of this name; empty when there is none.
  std::string text() const { return if_string() != nullptr ? *if_string() : std::string(); }
  std::string text(std::string_view name) const;
  /// "object", "array", "string", "number", "boolean", "null": for messages.
  std::string_view type_name() const;
  const Storage& storage() const { return data_; }
  bool operator==(const Value&) const = default;

 private:
  Storage data_;
};

inline std::size_t Object::size() const { return members_.size(); }
inline bool Object::empty() const { return members_.empty(); }
inline std::vector<Member>::const_iterator Object::begin() const { return members_.begin(); }
inline std::vector<Member>::const_iterator Object::end() const { return members_.end(); }

/// What a document may be at most. The defaults are those of SECURITY: 64 levels, 4 MiB.
struct Limits {
  std::size_t max_bytes = 4u << 20;
  std::size_t max_depth = 64;
};

/// Parses one document. InvalidJson with line and column (in bytes, from 1) for bad syntax,
/// duplicate names, invalid UTF-8, a byte order mark, text after the document, and what is deeper
/// or larger than the limits. "\u0000" in a string is allowed here; who needs a C string refuses
/// it.
Result<Value> parse(std::string_view text, const Limits& limits = {});

enum class Style : std::uint8_t { compact, pretty };
/// Writes JSON text. `pretty` indents with two spaces. Never fails: invalid UTF-8 becomes U+FFFD.
std::string dump(const Value& value, Style style = Style::compact);

/// Appends "/name" with RFC 6901 escaping: the pointer of a member, for messages.
std::string pointer(std::string_view base, std::string_view name);
std::string pointer(std::string_view base, std::size_t index);

}  // namespace nexcage::json
