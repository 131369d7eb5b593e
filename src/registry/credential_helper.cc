#include "nexcage/registry/credential_helper.h"

#include <algorithm>
#include <chrono>

#include "nexcage/base/text.h"
#include "nexcage/json/value.h"
#include "nexcage/sys/process.h"

namespace nexcage::registry {
namespace {

// A helper may ask a person to unlock a key ring.
constexpr std::chrono::seconds kPatience{60};
constexpr std::size_t kMaxAnswer = 1u << 20;

struct Answer {
  bool good = false;
  bool not_found = false;
  std::string out;
};

/// The protocol knows its errors by their text only.
bool says_not_found(std::string_view words) {
  return words == "credentials not found in native keychain";
}

/// What a failing helper said, cut to what a message can hold.
std::string words_of(const sys::Output& output) {
  std::string words(trim(output.out));
  if (words.empty()) words = trim(output.err);
  return words.empty() ? "exit status " + std::to_string(sys::exit_code(output.status))
                       : quote(words);
}

Result<Answer> ask(const std::string& helper, const char* operation, std::string_view input) {
  const bool plain =
      !helper.empty() && is_printable(helper) && helper.find('/') == std::string::npos;
  if (!plain)
    return fail(Errc::ConfigError, "credential helper " + quote(helper) +
                                       ": expected the NAME of docker-credential-NAME");
  const std::string program = "docker-credential-" + helper;
  sys::Command command;
  NX_TRY(command.program, sys::find_program(program), "credential helper");
  command.argv = {program, operation};
  command.inherit_env = true;
  command.die_with_parent = true;
  NX_TRY(const sys::Output output, sys::run(command, input, kPatience, kMaxAnswer));
  if (output.truncated)
    return fail(Errc::RegistryError, program + ": answers with more than 1 MiB");
  if (sys::exit_code(output.status) == 0) return Answer{true, false, output.out};
  if (says_not_found(trim(output.out))) return Answer{false, true, ""};
  return fail(Errc::RegistryError, program + " " + operation + ": " + words_of(output));
}

Result<json::Value> parse_answer(const std::string& helper, const std::string& text) {
  auto value = json::parse(text, {.max_bytes = kMaxAnswer, .max_depth = 4});
  if (!value || value->if_object() == nullptr)
    return fail(Errc::RegistryError, "docker-credential-" + helper + ": the answer is no object");
  return value;
}

Result<std::string> member(const json::Value& answer, const char* name, const std::string& helper) {
  const json::Value* value = answer.find(name);
  const std::string* text = value == nullptr ? nullptr : value->if_string();
  if (text == nullptr)
    return fail(Errc::RegistryError,
                "docker-credential-" + helper + ": the answer has no text " + name);
  return *text;
}

}  // namespace

Result<std::optional<Credential>> get_credential(const std::string& helper,
                                                 const std::string& server) {
  NX_TRY(const Answer answer, ask(helper, "get", server));
  if (answer.not_found) return std::nullopt;
  NX_TRY(const json::Value value, parse_answer(helper, answer.out));
  NX_TRY(std::string username, member(value, "Username", helper));
  NX_TRY(std::string secret, member(value, "Secret", helper));
  using Kind = Credential::Kind;
  if (username == "<token>") return Credential{Kind::identity_token, {}, Secret(std::move(secret))};
  if (username.empty() && secret.empty()) return std::nullopt;
  return Credential{Kind::password, std::move(username), Secret(std::move(secret))};
}

Result<> store_credential(const std::string& helper, const std::string& server,
                          const std::string& username, const Secret& password) {
  json::Object request;
  request.set("ServerURL", server);
  request.set("Username", username);
  request.set("Secret", password.reveal());
  NX_TRY(const Answer answer, ask(helper, "store", json::dump(std::move(request))));
  if (answer.good) return {};
  return fail(Errc::RegistryError, "docker-credential-" + helper + " store: nothing was stored");
}

Result<bool> erase_credential(const std::string& helper, const std::string& server) {
  NX_TRY(const Answer answer, ask(helper, "erase", server));
  return answer.good;
}

Result<std::vector<std::string>> list_credentials(const std::string& helper) {
  std::vector<std::string> servers;
  NX_TRY(const Answer answer, ask(helper, "list", ""));
  if (answer.not_found) return servers;
  NX_TRY(const json::Value value, parse_answer(helper, answer.out));
  for (const auto& [server, username] : *value.if_object()) servers.push_back(server);
  return servers;
}

}  // namespace nexcage::registry
