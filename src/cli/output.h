// Standard output of the verbs: text, tables, times.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"

namespace nexcage::cli {

/// Writes to standard output at once. A reader that has gone (EPIPE) is no error of ours.
void print(std::string_view text);

/// The text with control characters escaped: nothing that an image, a registry or a file says may
/// drive the terminal.
std::string printable(std::string_view text);

/// Rows under a heading, columns as wide as their widest cell and three spaces apart, as runc's
/// lists are. Control characters in cells are escaped.
class Table {
 public:
  explicit Table(std::vector<std::string> heading) { rows_.push_back(std::move(heading)); }
  void add(std::vector<std::string> row);
  std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

/// The format option of lists. InvalidSpec unless "table" or "json".
enum class ListFormat : unsigned char { table, json };
Result<ListFormat> parse_list_format(std::string_view text);

}  // namespace nexcage::cli
