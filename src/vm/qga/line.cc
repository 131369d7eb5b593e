#include "nexcage/vm/qga/line.h"

#include <utility>

#include "nexcage/base/text.h"

namespace nexcage::vm::qga {

void LineReader::feed(std::string_view bytes) {
  constexpr std::string_view kMarks = "\n\xff";
  while (!bytes.empty()) {
    const std::size_t mark = bytes.find_first_of(kMarks);
    const std::string_view part = bytes.substr(0, mark);
    current_.too_long = current_.too_long || part.size() > kMaxLine - current_.text.size();
    if (current_.too_long)
      current_.text.clear();
    else
      current_.text += part;
    if (mark == std::string_view::npos) return;
    Line line = std::exchange(current_, Line{});
    if (bytes[mark] == '\n' && (line.too_long || !trim(line.text).empty()))
      lines_.push_back(std::move(line));
    bytes.remove_prefix(mark + 1);
  }
}

std::optional<Line> LineReader::next() {
  if (lines_.empty()) return std::nullopt;
  Line line = std::move(lines_.front());
  lines_.pop_front();
  return line;
}

void LineReader::reset() {
  lines_.clear();
  current_ = {};
}

}  // namespace nexcage::vm::qga
