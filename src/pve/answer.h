// Answers of the API as values: what was asked for, or an error in Proxmox VE's own words.
#pragma once

#include <string>
#include <string_view>

#include "nexcage/base/error.h"
#include "nexcage/json/value.h"

namespace nexcage::pve {

/// An answer as it came over the wire.
struct Answer {
  int status = 0;
  std::string reason{};  // of the status line: where the body is empty it holds the text
  std::string body{};
};

/// The member `data` of a 200. Otherwise an error whose text is the server's: its message, each
/// refused parameter, or the reason phrase. The code: PermissionDenied for 401 and 403, Unsupported
/// for 501 (a method that this release does not have), ProxmoxError for everything else.
/// `what`: "POST /nodes/pve1/lxc".
Result<json::Value> parse_answer(std::string_view what, const Answer& answer);

/// The API says this of a guest or volume that is not there: it knows no status 404.
bool says_missing(const Error& error);
/// It says that the VMID is taken (another client was faster).
bool says_taken(const Error& error);

// The API is careless with types: numbers come as text, booleans as numbers.
bool as_bool(const json::Value* value);
std::int64_t as_number(const json::Value* value, std::int64_t fallback = 0);
/// Text, or a number as text; empty when there is neither.
std::string as_text(const json::Value* value);

}  // namespace nexcage::pve
