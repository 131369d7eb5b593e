#include "nexcage/network/result.h"

#include <algorithm>
#include <optional>

#include "nexcage/base/text.h"

namespace nexcage::network {
namespace {

constexpr json::Limits kLimits = {.max_bytes = 1U << 20, .max_depth = 32};
constexpr std::size_t kShown = 512;    // bytes of what a plugin said
constexpr std::size_t kMaxItems = 64;  // addresses, servers

std::unexpected<Error> bad(std::string_view member, std::string_view why) {
  return fail(Errc::InvalidJson, std::string(member) + ": " + std::string(why));
}

const json::Array* array_at(const json::Value& value, std::string_view name) {
  const json::Value* member = value.find(name);
  return member != nullptr ? member->if_array() : nullptr;
}

/// Something of a stranger for a message on one line.
std::string shown(std::string_view text) {
  text = trim(text);
  std::string line;
  for (const char c : text.substr(0, kShown))
    line += static_cast<unsigned char>(c) < ' ' || c == 0x7f ? ' ' : c;
  return line;
}

/// The interface of this index is one of the host: its addresses are not the container's.
bool on_host(const json::Value& result, const json::Value& ip) {
  const json::Value* index = ip.find("interface");
  const json::Array* interfaces = array_at(result, "interfaces");
  const auto number = index != nullptr ? index->as_u64() : std::nullopt;
  if (!number || interfaces == nullptr || *number >= interfaces->size()) return false;
  return (*interfaces)[*number].text("sandbox").empty();
}

Result<> add_address(Outcome& outcome, const std::string& text, const std::string& gateway) {
  const auto prefix = parse_prefix(text);
  if (!prefix) return bad("/ips", "an address without prefix length or no address at all");
  outcome.addresses.push_back(*prefix);
  if (gateway.empty() || !outcome.gateway.empty()) return {};
  const auto address = parse_address(gateway);
  if (!address) return bad("/ips", "gateway " + quote(gateway) + " is no address");
  outcome.gateway = address->str();
  return {};
}

Result<> read_addresses(Outcome& outcome, const json::Value& result) {
  if (const json::Array* ips = array_at(result, "ips")) {
    if (ips->size() > kMaxItems) return bad("/ips", "too many");
    for (const json::Value& ip : *ips)
      if (!on_host(result, ip))
        NX_CHECK(add_address(outcome, ip.text("address"), ip.text("gateway")));
    return {};
  }
  for (const std::string_view old : {"ip4", "ip6"})
    if (const json::Value* ip = result.find(old))
      NX_CHECK(add_address(outcome, ip->text("ip"), ip->text("gateway")));
  return {};
}

void read_mac(Outcome& outcome, const json::Value& result) {
  const json::Array* interfaces = array_at(result, "interfaces");
  if (interfaces == nullptr) return;
  for (const json::Value& interface : *interfaces) {
    const std::string mac = interface.text("mac");
    if (interface.text("sandbox").empty() || mac.empty()) continue;
    // Other kinds of interfaces have longer ones: those are not shown.
    if (auto known = parse_mac(mac)) outcome.mac = std::move(*known);
    return;
  }
}

/// Words that go into a file of the container, one a line: nothing may end a line.
Result<std::vector<std::string>> read_words(const json::Value& dns, std::string_view name) {
  std::vector<std::string> words;
  const json::Array* array = array_at(dns, name);
  if (array == nullptr) return words;
  if (array->size() > kMaxItems) return bad("/dns/" + std::string(name), "too many");
  for (const json::Value& item : *array) {
    const std::string* word = item.if_string();
    if (word == nullptr || word->empty() || !is_printable(*word) ||
        word->find_first_of(" \t") != std::string::npos)
      return bad("/dns/" + std::string(name), "no list of words");
    words.push_back(*word);
  }
  return words;
}

Result<> read_dns(Outcome& outcome, const json::Value& result) {
  const json::Value* dns = result.find("dns");
  if (dns == nullptr) return {};
  NX_TRY(outcome.dns.servers, read_words(*dns, "nameservers"));
  NX_TRY(outcome.dns.search, read_words(*dns, "search"));
  NX_TRY(outcome.dns.options, read_words(*dns, "options"));
  for (const std::string& server : outcome.dns.servers)
    if (!parse_address(server)) return bad("/dns/nameservers", quote(server) + " is no address");
  return {};
}

Errc code_of(std::optional<std::int64_t> number) {
  // Incompatible version, unsupported field, undecodable or invalid configuration (spec, "Error").
  const bool configuration =
      number && (*number == 1 || *number == 2 || *number == 6 || *number == 7);
  return configuration ? Errc::ConfigError : Errc::RuntimeNotAvailable;
}

}  // namespace

Result<Outcome> parse_result(const json::Value& result) {
  Outcome outcome;
  NX_CHECK(read_addresses(outcome, result));
  read_mac(outcome, result);
  NX_CHECK(read_dns(outcome, result));
  return outcome;
}

Result<json::Value> parse_answer(std::string_view out) {
  if (trim(out).empty()) return fail(Errc::InvalidJson, "the plugin printed no result");
  NX_TRY(json::Value value, json::parse(out, kLimits), "the plugin's result");
  if (value.if_object() == nullptr)
    return fail(Errc::InvalidJson, "the plugin's result is no object");
  return value;
}

Error plugin_error(int exit_code, std::string_view out, std::string_view err) {
  const std::string status = "exit status " + std::to_string(exit_code);
  if (const auto value = json::parse(out, kLimits)) {
    const json::Value* number = value->find("code");
    const std::string message = value->text("msg");
    const std::string details = value->text("details");
    if (!trim(message).empty()) {
      std::string text = shown(message);
      if (!details.empty()) text += ": " + shown(details);
      return {code_of(number != nullptr ? number->as_i64() : std::nullopt), text};
    }
  }
  const std::string said = shown(trim(err).empty() ? out : err);
  return {Errc::RuntimeNotAvailable, said.empty() ? status : status + ": " + said};
}

}  // namespace nexcage::network
