// Cuts what comes over the port of the QEMU guest agent into lines.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

namespace nexcage::vm::qga {

/// Longest line: input of 64 KiB (the most that Proxmox VE passes on) or a plan, and then some.
inline constexpr std::size_t kMaxLine = 1u << 20;

struct Line {
  std::string text;       // without its end
  bool too_long = false;  // more than kMaxLine bytes, which are thrown away
};

/// Keeps no more than was fed since the last whole line, and kMaxLine bytes.
class LineReader {
 public:
  /// Bytes as they came, in any portion. 0xFF, which no JSON has, begins anew (guest-sync-delimited
  /// of qga/qapi-schema.json): what came before it in the same line is forgotten.
  void feed(std::string_view bytes);
  /// The next line that is not empty; nullopt when there is none yet.
  std::optional<Line> next();
  /// Forgets everything: the other side is another.
  void reset();

 private:
  std::deque<Line> lines_;
  Line current_;
};

}  // namespace nexcage::vm::qga
