#include "nexcage/pve/client/guest_exec.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "nexcage/pve/answer.h"

namespace nexcage::pve::client {

namespace {

using std::chrono::milliseconds;

constexpr std::chrono::seconds kMostSilence{30};
constexpr milliseconds kFirstLook{20}, kMostBetweenLooks{500};

/// Proxmox VE passes output on as one character for each byte.
std::string bytes_of(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto first = static_cast<unsigned char>(text[i]);
    if (first < 0x80) {
      out += text[i];
      continue;
    }
    // U+0080 to U+00FF are two bytes of UTF-8, c2 80 to c3 bf.
    if (first > 0xc3 || i + 1 >= text.size()) return text;
    out += static_cast<char>((first & 3) << 6 | (static_cast<unsigned char>(text[++i]) & 0x3f));
  }
  return out;
}

}  // namespace

ExecState parse_exec_status(const json::Value& data) {
  ExecState state;
  state.exited = as_bool(data.find("exited"));
  if (!state.exited) return state;
  const json::Value* signal = data.find("signal");
  state.result.code = static_cast<int>(signal != nullptr ? 128 + as_number(signal)
                                                         : as_number(data.find("exitcode")));
  state.result.out = bytes_of(data.text("out-data"));
  state.result.err = bytes_of(data.text("err-data"));
  state.result.is_truncated =
      as_bool(data.find("out-truncated")) || as_bool(data.find("err-truncated"));
  return state;
}

Result<Executed> execute_in_guest(Connection& connection, const json::Value& job) {
  const std::string path = job.text("path");
  Fields fields;
  const json::Value* command = job.find("command");
  if (command != nullptr && command->if_array() != nullptr)
    for (const json::Value& word : *command->if_array())
      fields.emplace_back("command", word.text());
  if (const std::string input = job.text("input"); !input.empty())
    fields.emplace_back("input-data", input);
  NX_TRY(const json::Value started, connection.call(http::Method::post, path + "/exec", fields));
  const std::string pid = as_text(started.find("pid"));
  auto heard = std::chrono::steady_clock::now();
  for (milliseconds pause = kFirstLook;; pause = std::min(pause * 2, kMostBetweenLooks)) {
    auto data = connection.call(http::Method::get, path + "/exec-status", {{"pid", pid}});
    const auto now = std::chrono::steady_clock::now();
    // A busy or suspended machine does not answer for a while; the process goes on.
    if (!data && now - heard > kMostSilence) return fail(std::move(data).error());
    if (data) {
      heard = now;
      ExecState state = parse_exec_status(*data);
      if (state.exited) return std::move(state.result);
    }
    std::this_thread::sleep_for(pause);
  }
}

}  // namespace nexcage::pve::client
