// Reading JSON text: nlohmann's SAX parser (iterative, throws nothing) does the grammar, the
// handler here builds values and keeps the limits.
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "nexcage/base/text.h"
#include "nexcage/json/value.h"

namespace nexcage::json {
namespace {

/// Up to this many members a linear look for a duplicate is faster than a hash table.
constexpr std::size_t kLinearMembers = 16;

/// An input iterator over the text that tells the handler how far the lexer has read.
class Cursor {
 public:
  using value_type = char;
  using difference_type = std::ptrdiff_t;

  Cursor(const char* at, const char** furthest) : at_(at), furthest_(furthest) {}
  const char& operator*() const { return *at_; }
  Cursor& operator++() {
    *furthest_ = ++at_;
    return *this;
  }
  Cursor operator++(int) {
    Cursor before = *this;
    ++*this;
    return before;
  }
  bool operator==(const Cursor& other) const { return at_ == other.at_; }

 private:
  const char* at_;
  const char** furthest_;
};

/// "line 3, column 14: " plus the reason. Columns count bytes from 1.
Error at_offset(std::string_view text, std::size_t offset, const std::string& why) {
  const std::string_view before = text.substr(0, offset);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const std::size_t start = before.rfind('\n');
  const std::size_t column = before.size() - (start == std::string_view::npos ? 0 : start + 1) + 1;
  return {Errc::InvalidJson,
          "line " + std::to_string(line) + ", column " + std::to_string(column) + ": " + why};
}

/// What the library says went wrong, without its error number, its position and the token, which is
/// the input as it came.
std::string reason_of(std::string_view what, const std::string& token) {
  std::string reason(what);
  if (const auto start = reason.find("syntax error"); start != std::string::npos) {
    reason.erase(0, start);
  } else if (const auto bracket = reason.find("] "); bracket != std::string::npos) {
    reason.erase(0, bracket + 2);
  }
  const std::string last_read = "; last read: '" + token + "'";
  if (const auto at = reason.find(last_read); at != std::string::npos)
    reason.erase(at, last_read.size());
  return reason;
}

/// One array or object that is not closed yet.
struct Open {
  Value value;
  std::string key;                       // of the member that is being read
  std::unordered_set<std::string> seen;  // filled above kLinearMembers
};

/// Receives the events of the SAX parser. Each returns false to stop, with `error` set.
class Builder {
 public:
  Builder(std::string_view text, const Limits& limits)
      : text_(text), limits_(limits), read_to_(text.data()) {}

  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(std::int64_t value) { return add(value); }
  bool number_unsigned(std::uint64_t value) { return add(value); }
  bool number_float(double value, const std::string&) { return add(value); }
  bool string(std::string& value) { return add(std::move(value)); }
  bool binary(std::vector<std::uint8_t>&) { return refuse(offset(), "binary data"); }
  bool start_object(std::size_t) { return open(Object()); }
  bool start_array(std::size_t) { return open(Array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(std::string& name);
  bool parse_error(std::size_t position, const std::string& token,
                   const nlohmann::detail::exception& error);

  const char** read_to() { return &read_to_; }
  Value take() { return std::move(root_); }
  std::optional<Error>& error() { return error_; }

 private:
  std::size_t offset() const { return static_cast<std::size_t>(read_to_ - text_.data()); }
  bool refuse(std::size_t at, const std::string& why) {
    error_ = at_offset(text_, at, why);
    return false;
  }
  bool add(Value value);
  bool open(Value value);
  bool close();
  std::size_t start_of_key() const;

  std::string_view text_;
  const Limits& limits_;
  const char* read_to_;
  Value root_;
  std::vector<Open> open_;
  std::optional<Error> error_;
};

bool Builder::add(Value value) {
  if (open_.empty()) {
    root_ = std::move(value);
    return true;
  }
  Open& parent = open_.back();
  if (Array* array = parent.value.if_array())
    array->push_back(std::move(value));
  else
    parent.value.if_object()->append(std::move(parent.key), std::move(value));
  return true;
}

bool Builder::open(Value value) {
  if (open_.size() >= limits_.max_depth)
    return refuse(offset() - 1, "nested deeper than " + std::to_string(limits_.max_depth));
  open_.push_back({std::move(value), {}, {}});
  return true;
}

bool Builder::close() {
  Value value = std::move(open_.back().value);
  open_.pop_back();
  return add(std::move(value));
}

bool Builder::key(std::string& name) {
  Open& parent = open_.back();
  const Object& object = *parent.value.if_object();
  bool duplicate = false;
  if (object.size() < kLinearMembers) {
    duplicate = object.find(name) != nullptr;
  } else {
    if (parent.seen.empty())
      for (const auto& [present, value] : object) parent.seen.insert(present);
    duplicate = !parent.seen.insert(name).second;
  }
  if (duplicate) return refuse(start_of_key(), "duplicate name " + quote(name));
  parent.key = std::move(name);
  return true;
}

/// The lexer stands behind the closing quote of a name; a quote inside it has a backslash.
std::size_t Builder::start_of_key() const {
  std::size_t at = offset() - 1;
  while (at > 0) {
    at = text_.rfind('"', at - 1);
    std::size_t slashes = 0;
    while (slashes < at && text_[at - 1 - slashes] == '\\') ++slashes;
    if (slashes % 2 == 0) break;
  }
  return at;
}

bool Builder::parse_error(std::size_t position, const std::string& token,
                          const nlohmann::detail::exception& error) {
  // The position counts what was read, the end of the text included: the offence is one before.
  const std::size_t at = std::min(position == 0 ? 0 : position - 1, text_.size());
  return refuse(at, reason_of(error.what(), token));
}

}  // namespace

Result<Value> parse(std::string_view text, const Limits& limits) {
  if (text.size() > limits.max_bytes)
    return fail(Errc::InvalidJson, "document has " + std::to_string(text.size()) +
                                       " bytes, more than " + std::to_string(limits.max_bytes));
  // The library skips a byte order mark and takes a NUL for the end of the text.
  if (text.starts_with("\xEF\xBB\xBF")) return fail(at_offset(text, 0, "byte order mark"));
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos)
    return fail(at_offset(text, nul, "NUL byte"));

  Builder builder(text, limits);
  const Cursor first(text.data(), builder.read_to());
  const Cursor last(text.data() + text.size(), builder.read_to());
  const bool good = nlohmann::json::sax_parse(first, last, &builder);
  if (builder.error()) return fail(std::move(*builder.error()));
  if (!good) return fail(at_offset(text, text.size(), "not a JSON document"));
  return builder.take();
}

}  // namespace nexcage::json
