#include "nexcage/pve/answer.h"

#include <algorithm>

#include "nexcage/base/text.h"

namespace nexcage::pve {

namespace {

/// The server's texts are shown to people: one line, nothing that moves a cursor.
std::string one_line(std::string_view text) {
  std::string line;
  for (const char c : trim(text)) {
    const bool is_break = c == '\n' || c == '\r' || c == '\t';
    if (is_break && line.ends_with(' ')) continue;
    line += is_break ? ' ' : static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? '?' : c;
  }
  return line;
}

Errc code_of(int status) {
  if (status == 401 || status == 403) return Errc::PermissionDenied;
  return status == 501 ? Errc::Unsupported : Errc::ProxmoxError;
}

std::string text_of(const Answer& answer) {
  const auto document = json::parse(answer.body);
  if (!document || document->if_object() == nullptr) {
    const std::string plain = one_line(answer.body);
    return plain.empty() || plain.starts_with('<') ? one_line(answer.reason) : plain;
  }
  std::string text = one_line(document->text("message"));
  if (text.empty()) text = one_line(answer.reason);
  const json::Value* errors = document->find("errors");
  if (errors == nullptr || errors->if_object() == nullptr) return text;
  for (const auto& [parameter, said] : *errors->if_object())
    text += " " + one_line(parameter) + ": " + one_line(said.text()) + ";";
  if (text.ends_with(';')) text.pop_back();
  return text;
}

std::string hint_of(int status, std::string_view text) {
  if (status == 401)
    return "check the token or password: `nexcage pve doctor` tries the connection";
  if (status == 403 && text.find("root@pam") != std::string_view::npos)
    return "no token may do this: log in as root@pam with a password, or run nexcage on the node";
  if (status == 403)
    return "give the privilege on this path to the token's role; `nexcage pve doctor` lists them";
  if (status == 595 || status == 596)
    return "the node is down or cannot be reached by the others: `pvecm status` on it";
  return {};
}

}  // namespace

Result<json::Value> parse_answer(std::string_view what, const Answer& answer) {
  if (answer.status == 200) {
    auto document = json::parse(answer.body, {.max_bytes = 64u << 20});
    if (document && document->find("data") != nullptr) return *document->find("data");
    return fail(Errc::ProxmoxError,
                std::string(what) + ": the answer is none of the API of Proxmox VE");
  }
  std::string text = text_of(answer);
  if (text.empty()) text = "no reason given";
  Error error(code_of(answer.status),
              std::string(what) + ": " + text + " (" + std::to_string(answer.status) + ")");
  if (std::string hint = hint_of(answer.status, text); !hint.empty())
    return fail(std::move(error).hint(std::move(hint)));
  return fail(std::move(error));
}

bool says_missing(const Error& error) {
  return error.message().find("does not exist") != std::string::npos;
}

bool says_taken(const Error& error) {
  return error.message().find("already exists on node") != std::string::npos;
}

bool as_bool(const json::Value* value) {
  if (value == nullptr) return false;
  if (value->if_bool() != nullptr) return *value->if_bool();
  return as_text(value) == "1";
}

std::int64_t as_number(const json::Value* value, std::int64_t fallback) {
  if (value == nullptr) return fallback;
  if (const auto number = value->as_i64()) return *number;
  return parse_i64(value->text()).value_or(fallback);
}

std::string as_text(const json::Value* value) {
  if (value == nullptr) return {};
  if (value->if_string() != nullptr) return *value->if_string();
  return value->is_null() || value->if_object() != nullptr || value->if_array() != nullptr
             ? std::string()
             : json::dump(*value);
}

}  // namespace nexcage::pve
