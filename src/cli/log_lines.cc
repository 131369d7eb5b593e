#include "nexcage/cli/log_lines.h"

namespace nexcage::cli {

std::optional<LogLine> parse_log_line(std::string_view line) {
  LogLine parsed;
  const std::size_t time_end = line.find(' ');
  if (time_end == line.npos) return std::nullopt;
  parsed.time = line.substr(0, time_end);
  line.remove_prefix(time_end + 1);
  if (line.starts_with("stdout ") || line.starts_with("stderr "))
    parsed.is_error = line.starts_with("stderr");
  else
    return std::nullopt;
  line.remove_prefix(std::string_view("stdout ").size());
  if (!line.starts_with("F ") && !line.starts_with("P ")) return std::nullopt;
  parsed.partial = line[0] == 'P';
  parsed.text = line.substr(2);
  return parsed;
}

std::optional<std::string_view> LineSplitter::next() {
  const std::size_t end = buffer_.find('\n', begin_);
  if (end == std::string::npos) {
    buffer_.erase(0, begin_);
    begin_ = 0;
    return std::nullopt;
  }
  const std::string_view line = std::string_view(buffer_).substr(begin_, end - begin_);
  begin_ = end + 1;
  return line;
}

void TailFinder::add(std::string_view line, std::uint64_t bytes) {
  const auto parsed = parse_log_line(line);
  if (!continues_) {
    starts_.push_back(position_);
    if (starts_.size() > lines_) starts_.pop_front();
  }
  continues_ = parsed && parsed->partial;
  position_ += bytes;
}

}  // namespace nexcage::cli
