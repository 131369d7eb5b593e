// conmon's k8s-file log: one line "TIME STREAM F|P TEXT" for each line or piece of a line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

namespace nexcage::cli {

struct LogLine {
  std::string_view time;  // RFC 3339
  bool is_error = false;  // from standard error
  bool partial = false;   // the line goes on in the next record
  std::string_view text;
};
/// nullopt for a line that is no record (a log cut short by a full disk).
std::optional<LogLine> parse_log_line(std::string_view line);

/// Cuts a stream of bytes into lines; what is not ended yet waits for more.
class LineSplitter {
 public:
  void add(std::string_view bytes) { buffer_.append(bytes); }
  /// The next whole line without its end; valid until the next call.
  std::optional<std::string_view> next();

 private:
  std::string buffer_;
  std::size_t begin_ = 0;
};

/// Finds where the last N lines of a log begin, in memory bounded by N.
class TailFinder {
 public:
  explicit TailFinder(std::size_t lines) : lines_(lines) {}
  /// A further line of `bytes` bytes, its end included. Pieces of one line count as one.
  void add(std::string_view line, std::uint64_t bytes);
  /// Offset of the first of the last N lines.
  std::uint64_t offset() const { return starts_.empty() ? position_ : starts_.front(); }

 private:
  std::size_t lines_;
  std::uint64_t position_ = 0;
  bool continues_ = false;  // the last piece did not end its line
  std::deque<std::uint64_t> starts_;
};

}  // namespace nexcage::cli
