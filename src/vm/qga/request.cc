#include "nexcage/vm/qga/request.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <limits>
#include <utility>

#include "nexcage/base/base64.h"
#include "nexcage/base/text.h"
#include "nexcage/vm/qga/line.h"

namespace nexcage::vm::qga {
namespace {

/// Arguments nest no deeper than a list; other commands' do a little.
constexpr std::size_t kMaxDepth = 16;

std::unexpected<Error> wrong_type(std::string_view name, const char* expected) {
  return fail(Errc::InvalidConfig,
              "Invalid parameter type for " + quote(name) + ", expected: " + expected);
}

/// The members of "arguments", each asked for by its name and its type.
class Arguments {
 public:
  explicit Arguments(const json::Object* object) : object_(object) {}

  /// An argument that the command does not have would be ignored otherwise.
  Result<> only(std::initializer_list<std::string_view> names) const {
    if (object_ == nullptr) return {};
    for (const auto& [name, value] : *object_)
      if (std::ranges::find(names, name) == names.end())
        return fail(Errc::InvalidConfig, "Parameter " + quote(name) + " is unexpected");
    return {};
  }
  const json::Value* find(std::string_view name) const {
    return object_ == nullptr ? nullptr : object_->find(name);
  }
  Result<const json::Value*> need(std::string_view name) const {
    if (const json::Value* value = find(name)) return value;
    return fail(Errc::InvalidConfig, "Parameter " + quote(name) + " is missing");
  }
  Result<std::int64_t> number(std::string_view name) const {
    NX_TRY(const json::Value* value, need(name));
    const auto number = value->as_i64();
    if (!number) return wrong_type(name, "integer");
    return *number;
  }
  Result<std::vector<std::string>> texts(std::string_view name) const {
    const json::Value* value = find(name);
    std::vector<std::string> out;
    if (value == nullptr) return out;
    if (value->if_array() == nullptr) return wrong_type(name, "array");
    for (const json::Value& item : *value->if_array()) {
      NX_TRY(std::string text, text_of(name, item));
      out.push_back(std::move(text));
    }
    return out;
  }
  static Result<std::string> text_of(std::string_view name, const json::Value& value) {
    const std::string* text = value.if_string();
    if (text == nullptr) return wrong_type(name, "string");
    if (text->contains('\0'))
      return fail(Errc::InvalidConfig, "Parameter " + quote(name) + " holds a zero byte");
    return *text;
  }

 private:
  const json::Object* object_;
};

template <class T>
Result<Command> plain(const Arguments& arguments) {
  NX_CHECK(arguments.only({}));
  return T{};
}

template <bool delimited>
Result<Command> parse_sync(const Arguments& arguments) {
  NX_CHECK(arguments.only({"id"}));
  NX_TRY(const std::int64_t id, arguments.number("id"));
  return Sync{.id = id, .delimited = delimited};
}

/// A truth, or since version 8 of QEMU the name of a way.
Result<Capture> parse_capture(const json::Value* value) {
  if (value == nullptr) return Capture::none;
  if (const bool* all = value->if_bool()) return *all ? Capture::separated : Capture::none;
  constexpr std::array<std::pair<std::string_view, Capture>, 5> kWays = {
      {{"none", Capture::none},
       {"stdout", Capture::out},
       {"stderr", Capture::err},
       {"separated", Capture::separated},
       {"merged", Capture::merged}}};
  if (value->if_string() == nullptr) return wrong_type("capture-output", "boolean or string");
  for (const auto& [name, way] : kWays)
    if (*value->if_string() == name) return way;
  return fail(Errc::InvalidConfig, "Parameter 'capture-output' does not accept this value");
}

Result<Command> parse_exec(const Arguments& arguments) {
  NX_CHECK(arguments.only({"path", "arg", "env", "input-data", "capture-output"}));
  ExecCommand exec;
  NX_TRY(const json::Value* path, arguments.need("path"));
  NX_TRY(std::string program, Arguments::text_of("path", *path));
  if (program.empty()) return fail(Errc::InvalidConfig, "Parameter 'path' is empty");
  exec.args.push_back(std::move(program));
  NX_TRY(const auto further, arguments.texts("arg"));
  exec.args.insert(exec.args.end(), further.begin(), further.end());
  NX_TRY(exec.env, arguments.texts("env"));
  for (const std::string& one : exec.env)
    if (one.find('=') == std::string::npos || one.starts_with('='))
      return fail(Errc::InvalidConfig, "Parameter 'env' has a word without a name");
  NX_TRY(exec.capture, parse_capture(arguments.find("capture-output")));
  if (const json::Value* input = arguments.find("input-data")) {
    NX_TRY(const std::string text, Arguments::text_of("input-data", *input));
    auto bytes = base64_decode(text);
    if (!bytes) return fail(Errc::InvalidConfig, "Parameter 'input-data' is no Base64");
    exec.input = *std::move(bytes);
  }
  return exec;
}

Result<Command> parse_status(const Arguments& arguments) {
  NX_CHECK(arguments.only({"pid"}));
  NX_TRY(const std::int64_t pid, arguments.number("pid"));
  if (pid <= 0 || pid > std::numeric_limits<std::int32_t>::max())
    return fail(Errc::InvalidConfig, "Invalid parameter 'pid'");
  return ExecStatus{.pid = static_cast<std::uint32_t>(pid)};
}

Result<Command> parse_shutdown(const Arguments& arguments) {
  NX_CHECK(arguments.only({"mode"}));
  const json::Value* mode = arguments.find("mode");
  if (mode != nullptr && mode->text() != "powerdown")
    return fail(Errc::InvalidConfig, "Invalid parameter 'mode': only powerdown is served");
  return Shutdown{};
}

struct Entry {
  std::string_view name;
  Result<Command> (*parse)(const Arguments&);
};
constexpr std::array<Entry, 9> kCommands = {
    {{"guest-sync", parse_sync<false>},
     {"guest-sync-delimited", parse_sync<true>},
     {"guest-ping", plain<Ping>},
     {"guest-info", plain<Info>},
     {"guest-get-osinfo", plain<OsInfo>},
     {"guest-network-get-interfaces", plain<NetworkInterfaces>},
     {"guest-exec", parse_exec},
     {"guest-exec-status", parse_status},
     {"guest-shutdown", parse_shutdown}}};

Result<Command> parse_command(const json::Value& message) {
  if (message.if_object() == nullptr)
    return fail(Errc::InvalidJson, "QMP input must be a JSON object");
  const json::Value* name = message.find("execute");
  if (name == nullptr || name->if_string() == nullptr)
    return fail(Errc::InvalidJson, "QMP input lacks member 'execute'");
  const json::Value* arguments = message.find("arguments");
  if (arguments != nullptr && arguments->if_object() == nullptr)
    return fail(Errc::InvalidJson, "QMP input member 'arguments' must be an object");
  for (const Entry& entry : kCommands)
    if (entry.name == *name->if_string())
      return entry.parse(Arguments(arguments == nullptr ? nullptr : arguments->if_object()));
  return fail(Errc::Unsupported, "The command " + quote(name->text()) + " has not been found");
}

}  // namespace

Request parse_request(std::string_view line) {
  const auto message = json::parse(line, {.max_bytes = kMaxLine, .max_depth = kMaxDepth});
  if (!message)
    return {.id = {},
            .command = fail(Errc::InvalidJson, "JSON parse error, " + message.error().message())};
  const json::Value* id = message->find("id");
  return {.id = id == nullptr ? std::nullopt : std::optional<json::Value>(*id),
          .command = parse_command(*message)};
}

std::vector<std::string_view> command_names() {
  std::vector<std::string_view> names;
  names.reserve(kCommands.size());
  for (const Entry& entry : kCommands) names.push_back(entry.name);
  return names;
}

}  // namespace nexcage::vm::qga
