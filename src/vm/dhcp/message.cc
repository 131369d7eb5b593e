#include "nexcage/vm/dhcp/message.h"

#include <algorithm>
#include <bit>

namespace nexcage::vm::dhcp {
namespace {

constexpr std::size_t kAddress = 4, kMac = 6, kHeader = 236;
constexpr std::string_view kCookie = "\x63\x82\x53\x63";
constexpr std::size_t kMostServers = 3;

// RFC 2132.
enum Option : std::uint8_t {
  kPad = 0,
  kSubnetMask = 1,
  kRouter = 3,
  kNameServer = 6,
  kHostName = 12,
  kDomainName = 15,
  kRequestedAddress = 50,
  kLeaseTime = 51,
  kMessageType = 53,
  kServerIdentifier = 54,
  kParameters = 55,
  kEnd = 255,
};

std::uint32_t big_endian(std::string_view bytes) {
  std::uint32_t value = 0;
  for (const char byte : bytes) value = value << 8 | static_cast<unsigned char>(byte);
  return value;
}

std::string big_endian(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift & 0xff);
  return bytes;
}

void add_option(std::string& out, Option option, std::string_view value) {
  if (value.empty()) return;
  out += static_cast<char>(option);
  out += static_cast<char>(value.size());
  out += value;
}

std::string padded(std::string_view bytes, std::size_t size) {
  std::string out(bytes.substr(0, size));
  out.resize(size, '\0');
  return out;
}

/// The prefix of a mask whose ones are all at its beginning.
std::optional<std::uint8_t> prefix_of(std::string_view mask) {
  if (mask.size() != kAddress) return std::nullopt;
  const std::uint32_t bits = big_endian(mask);
  const int ones = std::countl_one(bits);
  if (ones != std::popcount(bits)) return std::nullopt;
  return static_cast<std::uint8_t>(ones);
}

bool is_domain(std::string_view text) {
  return !text.empty() && text.size() <= 253 &&
         text.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") ==
             std::string_view::npos;
}

/// False: the value is none of this option's.
bool take_option(std::uint8_t option, std::string_view value, Reply& reply) {
  switch (option) {
    case kMessageType:
      if (value.size() != 1) return false;
      reply.kind = static_cast<Kind>(value.front());
      return true;
    case kServerIdentifier:
      reply.server = value;
      return value.size() == kAddress;
    case kSubnetMask: {
      const auto prefix = prefix_of(value);
      reply.prefix = prefix.value_or(0);
      return prefix.has_value();
    }
    case kRouter:
      reply.gateway = value.substr(0, kAddress);
      return reply.gateway.size() == kAddress;
    case kNameServer:
      for (; value.size() >= kAddress && reply.name_servers.size() < kMostServers;
           value.remove_prefix(kAddress))
        reply.name_servers.emplace_back(value.substr(0, kAddress));
      return true;
    case kDomainName:
      if (is_domain(value)) reply.domain = value;
      return true;
    case kLeaseTime:
      reply.seconds = big_endian(value);
      return value.size() == kAddress;
    default:
      return true;
  }
}

bool take_options(std::string_view options, Reply& reply) {
  bool has_kind = false;
  while (!options.empty()) {
    const auto option = static_cast<std::uint8_t>(options.front());
    options.remove_prefix(1);
    if (option == kPad) continue;
    if (option == kEnd) break;
    if (options.empty()) return false;
    const auto length = static_cast<unsigned char>(options.front());
    options.remove_prefix(1);
    if (options.size() < length) return false;
    if (!take_option(option, options.substr(0, length), reply)) return false;
    has_kind = has_kind || option == kMessageType;
    options.remove_prefix(length);
  }
  return has_kind;
}

std::string dotted(std::string_view address) {
  std::string text;
  for (const char byte : address)
    text += (text.empty() ? "" : ".") + std::to_string(static_cast<unsigned char>(byte));
  return text;
}

}  // namespace

std::string encode(const Request& request) {
  constexpr char kAsks = 1, kEthernet = 1;
  constexpr std::string_view kBroadcast("\x80\x00", 2);
  std::string out = {kAsks, kEthernet, static_cast<char>(kMac), 0};
  out += big_endian(request.transaction);
  out += std::string(2, '\0');  // seconds since the beginning
  // Who has an address is answered there.
  out += request.own.empty() ? kBroadcast : std::string_view("\0\0", 2);
  out += padded(request.own, kAddress);
  out += std::string(3 * kAddress, '\0');
  out += padded(request.mac, 16);
  out.resize(kHeader, '\0');
  out += kCookie;
  add_option(out, kMessageType, std::string(1, static_cast<char>(request.kind)));
  add_option(out, kRequestedAddress, request.wanted);
  add_option(out, kServerIdentifier, request.server);
  add_option(out, kHostName, std::string_view(request.host_name).substr(0, 63));
  constexpr std::string_view kWanted = "\x01\x03\x06\x0f\x33";
  add_option(out, kParameters, kWanted);
  out += static_cast<char>(kEnd);
  // The least that a relay may expect (RFC 1542, 2.1).
  if (out.size() < 300) out.resize(300, '\0');
  return out;
}

std::optional<Reply> decode(std::string_view bytes, const Request& asked) {
  constexpr char kAnswers = 2;
  if (bytes.size() < kHeader + kCookie.size() || bytes.size() > kMaxMessage) return std::nullopt;
  if (bytes[0] != kAnswers || bytes.substr(kHeader, kCookie.size()) != kCookie) return std::nullopt;
  if (big_endian(bytes.substr(4, 4)) != asked.transaction) return std::nullopt;
  if (bytes.substr(28, kMac) != asked.mac) return std::nullopt;
  Reply reply;
  reply.address = bytes.substr(16, kAddress);
  if (!take_options(bytes.substr(kHeader + kCookie.size()), reply)) return std::nullopt;
  if (reply.kind == Kind::nak) return reply;
  const bool is_good = (reply.kind == Kind::offer || reply.kind == Kind::ack) &&
                       reply.address != std::string(kAddress, '\0') && !reply.server.empty();
  if (!is_good) return std::nullopt;
  reply.seconds = std::max<std::uint32_t>(reply.seconds, 60);
  return reply;
}

std::string resolv_conf(const Reply& reply) {
  if (reply.name_servers.empty()) return {};
  std::string text;
  if (!reply.domain.empty()) text += "search " + reply.domain + "\n";
  for (const std::string& server : reply.name_servers)
    text += "nameserver " + dotted(server) + "\n";
  return text;
}

}  // namespace nexcage::vm::dhcp
