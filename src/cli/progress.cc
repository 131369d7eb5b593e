#include "nexcage/cli/progress.h"

#include <algorithm>
#include <cmath>

#include "nexcage/base/text.h"
#include "nexcage/cli/output.h"

namespace nexcage::cli {
namespace {

using registry::PullEvent;
using std::chrono::duration;

constexpr std::chrono::seconds kWindow{4};       // of the speed shown
constexpr std::chrono::seconds kPlainEvery{10};  // for a layer that takes long
constexpr std::size_t kLeastBar = 10, kMostBar = 40;
constexpr std::size_t kLabel = 14;  // a short digest and two spaces

std::string percent_of(std::uint64_t bytes, std::uint64_t size) {
  const double share = size == 0 ? 1 : static_cast<double>(bytes) / static_cast<double>(size);
  return std::to_string(static_cast<int>(std::min(share, 1.0) * 100)) + "%";
}

/// At most `width` columns, no character cut in two.
std::string cut(std::string text, std::size_t width) {
  if (text.size() <= width) return text;
  while (width > 0 && (static_cast<unsigned char>(text[width]) & 0xC0) == 0x80) --width;
  text.resize(width);
  return text;
}

std::string speed_text(double bytes_per_second) {
  return format_bytes(static_cast<std::uint64_t>(bytes_per_second)) + "/s";
}

std::string bar(std::uint64_t bytes, std::uint64_t size, std::size_t width) {
  const double share = size == 0 ? 1 : static_cast<double>(bytes) / static_cast<double>(size);
  const auto full = static_cast<std::size_t>(std::min(share, 1.0) * static_cast<double>(width));
  std::string text(full, '=');
  if (full < width) text += '>';
  text.resize(width, ' ');
  return "[" + text + "]";
}

/// "LABEL  [===>   ]  1.0 MiB / 4.0 MiB  2.0 MiB/s  2s", without what does not fit.
std::string bar_line(std::string label, std::uint64_t bytes, std::uint64_t size, double speed,
                     std::size_t width) {
  label.resize(std::max(kLabel, label.size()), ' ');
  const std::string amounts = "  " + format_bytes(bytes) + " / " + format_bytes(size);
  std::string rest = amounts;
  if (speed > 0 && bytes < size)
    rest += "  " + speed_text(speed) + "  " + format_eta(static_cast<double>(size - bytes) / speed);
  const std::size_t fixed = label.size() + rest.size() + 3;
  const std::size_t room = width > fixed ? width - fixed : 0;
  // The bar is the first to go, the amounts stay.
  if (room < kLeastBar) return cut(label + std::string(trim(rest)), width - 1);
  return label + bar(bytes, size, std::min(room, kMostBar)) + rest;
}

}  // namespace

Result<ProgressStyle> parse_progress_style(std::string_view word, bool on_terminal) {
  if (word.empty()) return on_terminal ? ProgressStyle::tty : ProgressStyle::plain;
  if (word == "tty") return ProgressStyle::tty;
  if (word == "plain") return ProgressStyle::plain;
  if (word == "json") return ProgressStyle::json;
  if (word == "none") return ProgressStyle::none;
  return fail(Errc::InvalidSpec,
              "--progress " + quote(word) + ": expected tty, plain, json or none");
}

void Speed::add(ProgressTime now, std::uint64_t bytes) {
  samples_.push_back({.at = now, .bytes = bytes});
  // The oldest one kept is the last before the window: what happened since counts wholly.
  while (samples_.size() > 2 && now - samples_[1].at >= kWindow) samples_.pop_front();
}

double Speed::value(ProgressTime now) const {
  if (samples_.size() < 2 || now - samples_.back().at > kWindow) return 0;
  const double seconds = duration<double>(now - samples_.front().at).count();
  if (seconds < 0.2) return 0;
  return static_cast<double>(samples_.back().bytes - samples_.front().bytes) / seconds;
}

Progress::Layer* Progress::find(std::string_view digest) {
  const auto found = std::ranges::find(layers_, digest, &Layer::digest);
  return found == layers_.end() ? nullptr : &*found;
}

void Progress::apply(const PullEvent& event, ProgressTime now) {
  using Kind = PullEvent::Kind;
  if (event.kind == Kind::resolved) {
    for (const PullEvent::Layer& layer : event.layers)
      if (find(layer.digest) == nullptr)
        layers_.push_back({.digest = layer.digest, .size = layer.size, .speed = {}});
    return;
  }
  if (event.kind == Kind::retry) {
    note_ = "retry: " + printable(event.what) + ": " + printable(event.why);
    return;
  }
  Layer* layer = find(event.digest);
  if (layer == nullptr) return;
  if (event.kind == Kind::blob) layer->state = event.state;
  if (event.kind == Kind::blob && (event.state == State::done || event.state == State::present ||
                                   event.state == State::mounted))
    layer->bytes = layer->size;
  if (event.kind != Kind::progress) return;
  note_.clear();
  // A transfer begun anew goes back; a speed below nothing helps nobody.
  if (event.bytes < layer->bytes) layer->speed = Speed();
  layer->bytes = std::min(event.bytes, layer->size);
  layer->speed.add(now, layer->bytes);
}

std::string Progress::layer_line(const Layer& layer, std::size_t width, ProgressTime now) const {
  const auto words = [&](std::string_view text) {
    return cut(short_digest(layer.digest) + "  " + std::string(text), width - 1);
  };
  switch (layer.state) {
    case State::waiting:
      return words("waiting");
    case State::present:
      return words("already present");
    case State::mounted:
      return words("mounted from another repository");
    case State::verifying:
      return words("verifying " + format_bytes(layer.size));
    case State::done:
      return words("done " + format_bytes(layer.size));
    case State::started:
    case State::resumed:
      break;
  }
  return bar_line(short_digest(layer.digest), layer.bytes, layer.size, layer.speed.value(now),
                  width);
}

std::string Progress::total_line(std::size_t width, ProgressTime now) const {
  std::uint64_t bytes = 0, size = 0;
  double speed = 0;
  for (const Layer& layer : layers_) {
    if (layer.state == State::present || layer.state == State::mounted) continue;
    bytes += layer.bytes;
    size += layer.size;
    speed += layer.speed.value(now);
  }
  return bar_line("total", bytes, size, speed, width);
}

std::vector<std::string> Progress::bars(std::size_t width, std::size_t height,
                                        ProgressTime now) const {
  std::vector<std::string> lines;
  width = std::max<std::size_t>(width, 20);
  height = std::max<std::size_t>(height, 4);
  if (layers_.empty()) {
    if (!note_.empty()) lines.push_back(cut(note_, width - 1));
    return lines;
  }
  const auto at_work = [](const Layer& layer) {
    return layer.state == State::started || layer.state == State::resumed ||
           layer.state == State::verifying;
  };
  const std::size_t room = height - 3;  // the total, a note or a count, and the cursor's line
  const bool all_fit = layers_.size() <= room;
  std::size_t hidden = 0, finished = 0;
  for (const Layer& layer : layers_) {
    if ((all_fit || at_work(layer)) && lines.size() < room) {
      lines.push_back(layer_line(layer, width, now));
      continue;
    }
    ++hidden;
    if (layer.state == State::done || layer.state == State::present ||
        layer.state == State::mounted)
      ++finished;
  }
  if (hidden > 0)
    lines.push_back(cut(std::to_string(hidden) + " further layers, " + std::to_string(finished) +
                            " of them finished",
                        width - 1));
  else if (!note_.empty())
    lines.push_back(cut(note_, width - 1));
  lines.push_back(total_line(width, now));
  return lines;
}

std::string PlainProgress::layer_text(const Progress::Layer& layer, ProgressTime now) {
  using State = PullEvent::State;
  const std::string name = "layer " + short_digest(layer.digest) + ": ";
  switch (layer.state) {
    case State::waiting:
      return name + "another process is fetching it\n";
    case State::present:
      return name + "already present\n";
    case State::mounted:
      return name + "mounted from another repository\n";
    case State::started:
      return name + format_bytes(layer.size) + "\n";
    case State::resumed:
      return name + "going on with what is there of " + format_bytes(layer.size) + "\n";
    case State::done:
      return name + "done\n";
    case State::verifying:
      break;
  }
  told_ = now;
  return "";
}

std::string PlainProgress::apply(const PullEvent& event, ProgressTime now) {
  using Kind = PullEvent::Kind;
  known_.apply(event, now);
  switch (event.kind) {
    case Kind::endpoint:
      return "asking " + printable(event.url) + "\n";
    case Kind::resolved:
      told_ = now;
      return "image " + printable(event.digest) + ": " + std::to_string(event.layers.size()) +
             (event.layers.size() == 1 ? " layer, " : " layers, ") + format_bytes(event.size) +
             "\n";
    case Kind::retry:
      return "retry: " + printable(event.what) + ": " + printable(event.why) + "\n";
    case Kind::blob: {
      const Progress::Layer* layer = known_.find(event.digest);
      return layer != nullptr ? layer_text(*layer, now) : "";
    }
    case Kind::progress:
      break;
  }
  const Progress::Layer* layer = known_.find(event.digest);
  if (layer == nullptr || now - told_ < kPlainEvery) return "";
  told_ = now;
  std::string text = "layer " + short_digest(layer->digest) + ": " +
                     percent_of(layer->bytes, layer->size) + " of " + format_bytes(layer->size);
  if (const double speed = layer->speed.value(now); speed > 0) text += ", " + speed_text(speed);
  return text + "\n";
}

std::string short_digest(std::string_view digest) {
  const std::size_t colon = digest.find(':');
  const std::string_view hex = colon == std::string_view::npos ? digest : digest.substr(colon + 1);
  return printable(hex.substr(0, 12));
}

std::string format_eta(double seconds) {
  if (!std::isfinite(seconds) || seconds > 100 * 3600) return "more than 4d";
  const auto whole = static_cast<std::uint64_t>(std::ceil(seconds));
  const auto two = [](std::uint64_t n) { return (n < 10 ? "0" : "") + std::to_string(n); };
  if (whole < 60) return std::to_string(whole) + "s";
  if (whole < 3600) return std::to_string(whole / 60) + "m" + two(whole % 60) + "s";
  return std::to_string(whole / 3600) + "h" + two(whole / 60 % 60) + "m";
}

}  // namespace nexcage::cli
