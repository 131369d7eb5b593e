// Writing JSON text.
#include <array>
#include <charconv>
#include <cmath>

#include "nexcage/base/utf8.h"
#include "nexcage/json/value.h"

namespace nexcage::json {
namespace {

class Writer {
 public:
  explicit Writer(Style style) : pretty_(style == Style::pretty) {}

  void write(const Value& value) {
    std::visit([this](const auto& content) { (*this)(content); }, value.storage());
  }
  std::string take() { return std::move(out_); }

  void operator()(std::nullptr_t) { out_ += "null"; }
  void operator()(bool value) { out_ += value ? "true" : "false"; }
  void operator()(std::int64_t value) { out_ += std::to_string(value); }
  void operator()(std::uint64_t value) { out_ += std::to_string(value); }
  void operator()(double value);
  void operator()(const std::string& text);
  void operator()(const Array& array);
  void operator()(const Object& object);

 private:
  void new_line() {
    if (!pretty_) return;
    out_ += '\n';
    out_.append(2 * depth_, ' ');
  }
  void escaped(unsigned char c);

  std::string out_;
  std::size_t depth_ = 0;
  bool pretty_;
};

void Writer::operator()(double value) {
  if (!std::isfinite(value)) {  // JSON has no word for these
    out_ += "null";
    return;
  }
  std::array<char, 32> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
  const std::string_view text(buffer.data(), static_cast<std::size_t>(end - buffer.data()));
  out_ += text;
  // A whole number without a point would be read back as an integer.
  if (text.find_first_of(".e") == std::string_view::npos) out_ += ".0";
}

void Writer::escaped(unsigned char c) {
  static constexpr std::string_view kHex = "0123456789abcdef";
  switch (c) {
    case '"':
      out_ += "\\\"";
      return;
    case '\\':
      out_ += "\\\\";
      return;
    case '\n':
      out_ += "\\n";
      return;
    case '\r':
      out_ += "\\r";
      return;
    case '\t':
      out_ += "\\t";
      return;
    default:
      out_ += "\\u00";
      out_ += kHex[c >> 4];
      out_ += kHex[c & 15];
  }
}

void Writer::operator()(const std::string& text) {
  out_ += '"';
  for (std::string_view rest = text; !rest.empty();) {
    const auto first = static_cast<unsigned char>(rest.front());
    // DEL is escaped too: the text may end up on a terminal.
    if (first < 0x20 || first == '"' || first == '\\' || first == 0x7f) {
      escaped(first);
      rest.remove_prefix(1);
      continue;
    }
    const std::size_t length = first < 0x80 ? 1 : decode_utf8(rest).length;
    if (length == 0)
      out_ += "\xEF\xBF\xBD";
    else
      out_ += rest.substr(0, length);
    rest.remove_prefix(length == 0 ? 1 : length);
  }
  out_ += '"';
}

void Writer::operator()(const Array& array) {
  out_ += '[';
  ++depth_;
  bool first = true;
  for (const Value& element : array) {
    if (!first) out_ += ',';
    first = false;
    new_line();
    write(element);
  }
  --depth_;
  if (!array.empty()) new_line();
  out_ += ']';
}

void Writer::operator()(const Object& object) {
  out_ += '{';
  ++depth_;
  bool first = true;
  for (const auto& [name, value] : object) {
    if (!first) out_ += ',';
    first = false;
    new_line();
    (*this)(name);
    out_ += pretty_ ? ": " : ":";
    write(value);
  }
  --depth_;
  if (!object.empty()) new_line();
  out_ += '}';
}

}  // namespace

std::string dump(const Value& value, Style style) {
  Writer writer(style);
  writer.write(value);
  return writer.take();
}

}  // namespace nexcage::json
