#include "nexcage/vm/qga/reply.h"

#include <utility>

#include "nexcage/base/base64.h"

namespace nexcage::vm::qga {
namespace {

/// Of the interface, not of a program: what is served is of qemu-ga's first versions.
constexpr const char* kVersion = "2.5.0";

std::string line(const Id& id, const char* name, json::Value value) {
  json::Object message;
  message.set(name, std::move(value));
  if (id) message.set("id", *id);
  return json::dump(json::Value(std::move(message))) + "\n";
}

void add_output(json::Object& out, const char* data_name, const char* truncated_name,
                const std::string& bytes, bool truncated) {
  if (!bytes.empty()) out.set(data_name, base64_encode(bytes));
  if (truncated) out.set(truncated_name, true);
}

}  // namespace

std::string reply(const Id& id, json::Value result) {
  return line(id, "return", std::move(result));
}

std::string reply_error(const Id& id, const Error& error) {
  json::Object description;
  description.set("class", error.code() == Errc::Unsupported ? "CommandNotFound" : "GenericError");
  description.set("desc", error.message());
  return line(id, "error", json::Value(std::move(description)));
}

std::string reply_sync(const Id& id, const Sync& sync) {
  return (sync.delimited ? "\xff" : "") + reply(id, json::Value(sync.id));
}

json::Value info_result() {
  json::Array commands;
  for (const std::string_view name : command_names()) {
    json::Object command;
    command.set("enabled", true);
    command.set("name", name);
    command.set("success-response", name != "guest-shutdown");
    commands.emplace_back(std::move(command));
  }
  json::Object out;
  out.set("version", kVersion);
  out.set("supported_commands", json::Value(std::move(commands)));
  return json::Value(std::move(out));
}

json::Value status_result(const ProcessStatus& status) {
  json::Object out;
  out.set("exited", status.exited);
  if (!status.exited) return json::Value(std::move(out));
  if (status.signal != 0)
    out.set("signal", status.signal);
  else
    out.set("exitcode", status.code);
  add_output(out, "out-data", "out-truncated", status.out, status.out_truncated);
  add_output(out, "err-data", "err-truncated", status.err, status.err_truncated);
  return json::Value(std::move(out));
}

}  // namespace nexcage::vm::qga
