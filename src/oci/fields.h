// Typed readers of JSON members that carry the JSON pointer (RFC 6901), so that every refusal says
// which field of the document offends. Internal to oci/.
#pragma once

#include <concepts>
#include <limits>
#include <map>
#include <optional>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/json/value.h"

namespace nexcage::oci {

/// The values of a document that a reader knew by name; the rest are its unknown fields.
using Known = std::unordered_set<const json::Value*>;

/// A JSON value and where it stands. A chain up the call stack: the pointer becomes text only when
/// something is refused. Children must not outlive their parents.
class Node {
 public:
  /// The root: `base` is put in front of all pointers. Both must outlive the node.
  Node(const json::Value& value, std::string_view base, Errc code, Known* known = nullptr)
      : value_(value), name_(base), code_(code), known_(known) {}

  Node child(std::string_view name, const json::Value& value) const {
    return Node(*this, value, name, 0);
  }
  Node child(std::size_t index, const json::Value& value) const {
    return Node(*this, value, {}, index);
  }

  const json::Value& value() const { return value_; }
  std::string pointer() const;
  /// "<pointer>: <why>" with the document's error code.
  std::unexpected<Error> refuse(std::string why,
                                std::source_location where = std::source_location::current()) const;
  /// "must be <what>, is a <type>".
  std::unexpected<Error> refuse_type(std::string_view what) const;

 private:
  Node(const Node& parent, const json::Value& value, std::string_view name, std::size_t index);

  const json::Value& value_;
  const Node* parent_ = nullptr;
  std::string_view name_;  // of the root: the base; data() == nullptr: an array's element
  std::size_t index_ = 0;
  Errc code_;
  Known* known_;
};

// A rule looks at a value and answers with a complaint, empty when there is none.

/// Numbers from `least` to `most`.
struct Range {
  std::int64_t least;
  std::uint64_t most;
  std::string operator()(std::int64_t value) const;
  std::string operator()(std::uint64_t value) const;
  template <std::integral T>
  std::string operator()(T value) const {
    if constexpr (std::is_signed_v<T>)
      return (*this)(std::int64_t{value});
    else
      return (*this)(std::uint64_t{value});
  }
};

/// One of the words; the table must outlive the rule.
struct OneOf {
  std::span<const std::string_view> words;
  std::string operator()(std::string_view text) const;
};

/// A rule for the names of a map's entries.
template <class Rule>
struct Keys {
  Rule rule;
};
template <class Rule>
Keys(Rule) -> Keys<Rule>;

/// A user or group id: 4294967295 is (uid_t)-1, which the kernel reads as "leave as it is".
inline constexpr Range kId{0, 4294967294u};

std::string not_empty(std::string_view text);
/// No control characters: the value ends up in a line of a file or in a message.
std::string printable(std::string_view text);
/// A host or container path as the spec demands it: absolute, at most PATH_MAX.
std::string absolute_path(std::string_view text);
/// The same, but empty is allowed too and means absent.
std::string absolute_path_or_empty(std::string_view text);
/// NAME=value with a name; the value may hold anything but NUL.
std::string env_entry(std::string_view text);

Result<> read(const Node& node, bool& out);
/// Refuses NUL: these strings become C strings sooner or later.
Result<> read(const Node& node, std::string& out);
Result<> read_integer(const Node& node, std::int64_t& out, std::int64_t least, std::int64_t most);
Result<> read_integer(const Node& node, std::uint64_t& out, std::uint64_t most);

/// Integers of any width; what does not fit is refused, never cut.
template <std::integral T>
Result<> read(const Node& node, T& out) {
  static_assert(!std::same_as<T, char>, "read a string and check its length");
  using Limits = std::numeric_limits<T>;
  if constexpr (std::is_signed_v<T>) {
    std::int64_t wide = 0;
    NX_CHECK(read_integer(node, wide, Limits::min(), Limits::max()));
    out = static_cast<T>(wide);
  } else {
    std::uint64_t wide = 0;
    NX_CHECK(read_integer(node, wide, Limits::max()));
    out = static_cast<T>(wide);
  }
  return {};
}

/// A value with a rule.
template <class T, class Rule>
  requires std::invocable<const Rule&, const T&>
Result<> read(const Node& node, T& out, const Rule& rule) {
  NX_CHECK(read(node, out));
  if (std::string complaint = rule(out); !complaint.empty())
    return node.refuse(std::move(complaint));
  return {};
}

template <class T, class... Rule>
Result<> read(const Node& node, std::optional<T>& out, const Rule&... rule) {
  return read(node, out.emplace(), rule...);
}

/// An array; the rule is for its elements.
template <class T, class... Rule>
Result<> read(const Node& node, std::vector<T>& out, const Rule&... rule) {
  const json::Array* array = node.value().if_array();
  if (array == nullptr) return node.refuse_type("an array");
  out.reserve(array->size());
  for (std::size_t i = 0; i < array->size(); ++i)
    NX_CHECK(read(node.child(i, (*array)[i]), out.emplace_back(), rule...));
  return {};
}

template <class T>
Result<> read(const Node& node, std::map<std::string, T>& out) {
  const json::Object* object = node.value().if_object();
  if (object == nullptr) return node.refuse_type("an object");
  for (const auto& [name, value] : *object) {
    const Node entry = node.child(name, value);
    if (name.find('\0') != std::string::npos) return entry.refuse("NUL in the name");
    NX_CHECK(read(entry, out[name]));
  }
  return {};
}

template <class T, class Rule>
Result<> read(const Node& node, std::map<std::string, T>& out, const Keys<Rule>& keys) {
  NX_CHECK(read(node, out));
  for (const auto& [name, value] : *node.value().if_object())
    if (std::string complaint = keys.rule(name); !complaint.empty())
      return node.child(name, value).refuse("name " + complaint);
  return {};
}

/// The members of one object. The first offence is kept and makes the later reads idle, so that a
/// reader is a plain list of fields:
///
///   Fields fields(node);
///   fields.required("path", out.path, absolute_path);
///   fields.optional("readonly", out.readonly);
///   return std::move(fields).done();
///
/// null is read as absent, as Go's decoder does it for all engines that write these documents.
class Fields {
 public:
  /// Keeps a reference to the node. A value that is no object is the first offence.
  explicit Fields(const Node& node);

  template <class T, class... Rule>
  void required(std::string_view name, T& out, const Rule&... rule) {
    if (const json::Value* value = present(name))
      check(read(node_.child(name, *value), out, rule...));
    else if (!error_)
      missing(name);
  }

  template <class T, class... Rule>
  void optional(std::string_view name, T& out, const Rule&... rule) {
    if (const json::Value* value = present(name))
      check(read(node_.child(name, *value), out, rule...));
  }

  /// The member, for what needs more than a reader; nullptr when absent, null or after an offence.
  const json::Value* present(std::string_view name);
  /// Refuses the member `name`.
  void refuse(std::string_view name, std::string why);
  /// Keeps the error of a reader that was called directly.
  void check(Result<> result);
  bool good() const { return !error_; }
  Result<> done() &&;

 private:
  void missing(std::string_view name);

  const Node& node_;
  const json::Object* object_;
  std::optional<Error> error_;
};

}  // namespace nexcage::oci
