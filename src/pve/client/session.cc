#include "nexcage/pve/client/session.h"

#include <array>
#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/pve/client/task.h"
#include "nexcage/pve/client/upload.h"

namespace nexcage::pve::client {

namespace {

Result<http::Method> parse_method(const std::string& text) {
  constexpr std::array<std::pair<std::string_view, http::Method>, 4> kMethods = {
      {{"GET", http::Method::get},
       {"POST", http::Method::post},
       {"PUT", http::Method::put},
       {"DELETE", http::Method::remove}}};
  for (const auto& [name, method] : kMethods)
    if (name == text) return method;
  return fail(Errc::InvalidJson, "method " + quote(text));
}

Fields fields_of(const json::Value* params) {
  Fields fields;
  if (params == nullptr || params->if_object() == nullptr) return fields;
  for (const auto& [name, value] : *params->if_object()) {
    if (value.if_array() == nullptr) {
      fields.emplace_back(name, as_text(&value));
      continue;
    }
    for (const json::Value& one : *value.if_array()) fields.emplace_back(name, as_text(&one));
  }
  return fields;
}

}  // namespace

Result<json::Value> Session::call(const json::Value& command) {
  NX_TRY(const http::Method method, parse_method(command.text("method")));
  return connection_.call(method, command.text("path"), fields_of(command.find("params")));
}

Result<json::Value> Session::wait(const json::Value& command) {
  NX_TRY(const Upid upid, Upid::parse(command.text("upid")));
  const std::chrono::seconds limit(as_number(command.find("seconds"), 600));
  const OnLine tell = [&](const std::string& line) {
    json::Object event;
    event.set("task", upid.text);
    event.set("line", line);
    tell_(std::move(event));
  };
  NX_TRY(const FollowedTask done, follow_task(connection_, upid, limit, tell));
  json::Array warnings(done.warnings.begin(), done.warnings.end());
  if (done.end.warnings > 0 && warnings.empty()) warnings.emplace_back(done.end.text);
  json::Object out;
  out.set("warnings", std::move(warnings));
  return out;
}

Result<json::Value> Session::upload(const json::Value& command) {
  NX_TRY(const auto body, FileBody::open(command.text("file"), command.text("name"),
                                         command.text("content"), command.text("sha256")));
  return connection_.upload(command.text("path"),
                            {.body = body.get(), .content_type = body->content_type()});
}

Result<json::Value> Session::run(const json::Value& command) {
  const std::string op = command.text("op");
  if (op == "call") return call(command);
  if (op == "wait") return wait(command);
  if (op == "upload") return upload(command);
  if (op == "host") return json::Value(connection_.host());
  return fail(Errc::InvalidJson, "command " + quote(op));
}

}  // namespace nexcage::pve::client
