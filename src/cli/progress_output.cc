#include "nexcage/cli/progress_output.h"

#include <sys/ioctl.h>

#include <algorithm>

#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"

namespace nexcage::cli {
namespace {

constexpr std::chrono::milliseconds kDrawEvery{100};

/// ECMA-48: cursor up, erase to the end of the screen.
std::string above(std::size_t rows) {
  return rows == 0 ? "\r\x1b[J" : "\r\x1b[" + std::to_string(rows) + "A\x1b[J";
}

winsize screen(int fd) {
  winsize size{};
  if (::ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) size = {24, 80, 0, 0};
  return size;
}

}  // namespace

ProgressOutput::~ProgressOutput() {
  if (style_ == ProgressStyle::tty && changed_) draw();
}

void ProgressOutput::write(const std::string& text) const {
  if (!text.empty()) (void)sys::write_all(fd_, text);  // nobody reads: nothing to be done
}

void ProgressOutput::event(const json::Value& event) {
  const ProgressTime now = std::chrono::steady_clock::now();
  if (style_ == ProgressStyle::none) return;
  if (style_ == ProgressStyle::json) return write(json::dump(event) + "\n");
  const auto known = registry::parse_pull_event(event);
  if (!known) return;
  if (style_ == ProgressStyle::plain) return write(plain_.apply(*known, now));
  progress_.apply(*known, now);
  changed_ = true;
  tick();
}

void ProgressOutput::tick() {
  if (style_ != ProgressStyle::tty) return;
  if (std::chrono::steady_clock::now() - drawn_at_ >= kDrawEvery) draw();
}

void ProgressOutput::say(const std::string& text) {
  // Below what is drawn, which is not touched any more.
  drawn_.clear();
  if (style_ == ProgressStyle::plain || style_ == ProgressStyle::tty) write(text + "\n");
}

void ProgressOutput::finish(const registry::Pulled& pulled) {
  json::Object event;
  event.set("event", "pulled");
  event.set("name", pulled.name.str());
  event.set("digest", pulled.digest.str());
  event.set("unchanged", pulled.unchanged);
  event.set("wire_bytes", pulled.wire_bytes);
  end(std::move(event),
      pulled.name.str() + ": " +
          (pulled.unchanged ? "up to date"
                            : "pulled, " + format_bytes(pulled.wire_bytes) + " transferred"));
}

void ProgressOutput::finish(const registry::Pushed& pushed) {
  json::Object event;
  event.set("event", "pushed");
  event.set("name", pushed.name.str());
  event.set("digest", pushed.digest.str());
  end(std::move(event), pushed.name.str() + ": pushed");
}

void ProgressOutput::end(json::Object event, const std::string& line) {
  if (style_ == ProgressStyle::json) return write(json::dump(std::move(event)) + "\n");
  if (style_ == ProgressStyle::tty && changed_) draw();
  progress_ = Progress();
  plain_ = PlainProgress();
  changed_ = false;
  say(line);
}

void ProgressOutput::draw() {
  const winsize size = screen(fd_);
  // A window made narrower has broken the lines that are there: they take more rows.
  std::size_t rows = 0;
  for (const std::size_t length : drawn_)
    rows += std::max<std::size_t>(1, (length + size.ws_col - 1) / size.ws_col);
  drawn_at_ = std::chrono::steady_clock::now();
  changed_ = false;
  std::string text = above(rows);
  drawn_.clear();
  for (const std::string& line : progress_.bars(size.ws_col, size.ws_row, drawn_at_)) {
    text += line + "\n";
    drawn_.push_back(line.size());
  }
  write(text);
}

}  // namespace nexcage::cli
