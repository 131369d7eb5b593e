#include "nexcage/pve/client/guest_exec.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "nexcage/pve/answer.h"

namespace nexcage::pve::client {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFirstLook{20}, kMostBetweenLooks{500};

}  // namespace

ExecState parse_exec_status(const json::Value& data) {
  ExecState state;
  state.exited = as_bool(data.find("exited"));
  if (!state.exited) return state;
  const json::Value* signal = data.find("signal");
  state.result.code = static_cast<int>(signal != nullptr ? 128 + as_number(signal)
                                                         : as_number(data.find("exitcode")));
  state.result.out = data.text("out-data");
  state.result.err = data.text("err-data");
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
  for (milliseconds pause = kFirstLook;; pause = std::min(pause * 2, kMostBetweenLooks)) {
    NX_TRY(const json::Value data,
           connection.call(http::Method::get, path + "/exec-status", {{"pid", pid}}));
    ExecState state = parse_exec_status(data);
    if (state.exited) return std::move(state.result);
    std::this_thread::sleep_for(pause);
  }
}

}  // namespace nexcage::pve::client
