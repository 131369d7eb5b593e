#include "nexcage/cli/output.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "nexcage/base/text.h"

namespace nexcage::cli {
namespace {

constexpr std::size_t kGap = 3;
/// runc's minimum width of a column, gap included; scripts that cut by column know it.
constexpr std::size_t kLeast = 12;

/// Columns on the screen: UTF-8 continuation bytes take none.
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

}  // namespace

std::string printable(std::string_view text) {
  if (is_printable(text)) return std::string(text);
  std::string out;
  constexpr std::string_view kHex = "0123456789abcdef";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f)
      out += c;
    else
      out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
  }
  return out;
}

void print(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

void Table::add(std::vector<std::string> row) {
  for (std::string& cell : row) cell = printable(cell);
  rows_.push_back(std::move(row));
}

std::string Table::text() const {
  std::vector<std::size_t> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()), kLeast);
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], width_of(row[i]) + kGap);
  }
  std::string out;
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      out += row[i];
      if (i + 1 < row.size()) out.append(widths[i] - width_of(row[i]), ' ');
    }
    out += '\n';
  }
  return out;
}

Result<ListFormat> parse_list_format(std::string_view text) {
  if (text == "table") return ListFormat::table;
  if (text == "json") return ListFormat::json;
  return fail(Errc::InvalidSpec, "--format " + quote(text) + ": expected table or json");
}

}  // namespace nexcage::cli
