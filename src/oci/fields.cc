#include "nexcage/oci/fields.h"

#include <climits>

#include "nexcage/base/text.h"

namespace nexcage::oci {
namespace {

/// Longer tables are not repeated in a message.
constexpr std::size_t kListedWords = 9;

std::string type_of(const json::Value& value) {
  const std::string name(value.type_name());
  const bool vowel = name.starts_with('a') || name.starts_with('o');
  return value.is_null() ? name : (vowel ? "an " : "a ") + name;
}

std::string span_text(const std::string& least, const std::string& most) {
  return "must be an integer from " + least + " to " + most + ", is ";
}

}  // namespace

Node::Node(const Node& parent, const json::Value& value, std::string_view name, std::size_t index)
    : value_(value),
      parent_(&parent),
      name_(name),
      index_(index),
      code_(parent.code_),
      known_(parent.known_) {
  if (known_ != nullptr) known_->insert(&value);
}

std::string Node::pointer() const {
  if (parent_ == nullptr) return std::string(name_);
  const std::string base = parent_->pointer();
  return name_.data() == nullptr ? json::pointer(base, index_) : json::pointer(base, name_);
}

std::unexpected<Error> Node::refuse(std::string why, std::source_location where) const {
  const std::string at = pointer();
  // Names in a pointer come from the document: no control characters into messages.
  std::string shown = is_printable(at) ? at : quote(at);
  if (shown.empty()) shown = "/";
  return fail(code_, shown + ": " + std::move(why), where);
}

std::unexpected<Error> Node::refuse_type(std::string_view what) const {
  return refuse("must be " + std::string(what) + ", is " + type_of(value_));
}

std::string Range::operator()(std::int64_t value) const {
  if (value >= least && (value < 0 || static_cast<std::uint64_t>(value) <= most)) return {};
  return span_text(std::to_string(least), std::to_string(most)) + std::to_string(value);
}

std::string Range::operator()(std::uint64_t value) const {
  if (value <= most && (least < 0 || value >= static_cast<std::uint64_t>(least))) return {};
  return span_text(std::to_string(least), std::to_string(most)) + std::to_string(value);
}

std::string OneOf::operator()(std::string_view text) const {
  std::vector<std::string> known;
  for (std::string_view word : words) {
    if (word == text) return {};
    known.emplace_back(word);
  }
  std::string complaint = "unknown value " + quote(text);
  if (known.size() <= kListedWords)
    complaint += "; known are " + join(known, ", ");
  else if (const auto meant = closest(text, known))
    complaint += "; did you mean " + *meant + "?";
  return complaint;
}

std::string not_empty(std::string_view text) { return text.empty() ? "must not be empty" : ""; }

std::string printable(std::string_view text) {
  return is_printable(text) ? "" : "must not hold control characters, is " + quote(text);
}

std::string absolute_path(std::string_view text) {
  if (!text.starts_with('/')) return "must be an absolute path, is " + quote(text);
  if (text.size() >= PATH_MAX) return "must be shorter than " + std::to_string(PATH_MAX) + " bytes";
  return printable(text);
}

std::string absolute_path_or_empty(std::string_view text) {
  return text.empty() ? "" : absolute_path(text);
}

std::string env_entry(std::string_view text) {
  const std::size_t equals = text.find('=');
  // The value may be a secret: it is never repeated.
  if (equals == std::string_view::npos) return "must be NAME=value, has no '='";
  if (equals == 0) return "must be NAME=value, has no name";
  return is_printable(text.substr(0, equals)) ? "" : "must not hold control characters in the name";
}

Result<> read(const Node& node, bool& out) {
  const bool* value = node.value().if_bool();
  if (value == nullptr) return node.refuse_type("true or false");
  out = *value;
  return {};
}

Result<> read(const Node& node, std::string& out) {
  const std::string* text = node.value().if_string();
  if (text == nullptr) return node.refuse_type("a string");
  if (text->find('\0') != std::string::npos) return node.refuse("must not hold NUL");
  out = *text;
  return {};
}

Result<> read_integer(const Node& node, std::int64_t& out, std::int64_t least, std::int64_t most) {
  const auto value = node.value().as_i64();
  if (!value || *value < least || *value > most) {
    if (node.value().type_name() != "number") return node.refuse_type("an integer");
    return node.refuse(span_text(std::to_string(least), std::to_string(most)) +
                       json::dump(node.value()));
  }
  out = *value;
  return {};
}

Result<> read_integer(const Node& node, std::uint64_t& out, std::uint64_t most) {
  const auto value = node.value().as_u64();
  if (!value || *value > most) {
    if (node.value().type_name() != "number") return node.refuse_type("an integer");
    return node.refuse(span_text("0", std::to_string(most)) + json::dump(node.value()));
  }
  out = *value;
  return {};
}

Fields::Fields(const Node& node) : node_(node), object_(node.value().if_object()) {
  if (object_ == nullptr) error_ = node.refuse_type("an object").error();
}

const json::Value* Fields::present(std::string_view name) {
  if (error_) return nullptr;
  const json::Value* value = object_->find(name);
  if (value == nullptr) return nullptr;
  if (value->is_null()) {
    (void)node_.child(name, *value);  // known by name, though without a value
    return nullptr;
  }
  return value;
}

void Fields::refuse(std::string_view name, std::string why) {
  const json::Value* value = error_ ? nullptr : object_->find(name);
  if (value != nullptr)
    error_ = node_.child(name, *value).refuse(std::move(why)).error();
  else if (!error_)
    error_ = node_.child(name, node_.value()).refuse(std::move(why)).error();
}

void Fields::check(Result<> result) {
  if (!result && !error_) error_ = std::move(result).error();
}

void Fields::missing(std::string_view name) {
  error_ = node_.child(name, node_.value()).refuse("is missing").error();
}

Result<> Fields::done() && {
  if (error_) return fail(std::move(*error_));
  return {};
}

}  // namespace nexcage::oci
