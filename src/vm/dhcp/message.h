// Messages of DHCP (RFC 2131, options of RFC 2132) as a client sends and reads them. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nexcage::vm::dhcp {

inline constexpr std::uint16_t kServerPort = 67, kClientPort = 68;
/// Longest message that is read.
inline constexpr std::size_t kMaxMessage = 1500;

enum class Kind : std::uint8_t { discover = 1, offer = 2, request = 3, ack = 5, nak = 6 };

/// Addresses are 4 bytes in network order; empty: none.
struct Request {
  Kind kind = Kind::discover;
  std::uint32_t transaction = 0;
  std::string mac;        // 6 bytes
  std::string own;        // the address that the client has: a lease is renewed
  std::string wanted;     // "requested IP address": of the offer
  std::string server;     // "server identifier": of the offer
  std::string host_name;  // at most 63 bytes; empty: not told
};
/// With the flag that asks for answers by broadcast: the client has no address yet.
std::string encode(const Request& request);

struct Reply {
  Kind kind = Kind::offer;
  std::string address, server;
  std::uint8_t prefix = 24;
  std::string gateway;                    // the first one
  std::vector<std::string> name_servers;  // at most three
  std::string domain;                     // search domain; empty unless it is a plain name
  std::uint32_t seconds = 3600;           // of the lease
};
/// What a server says to this client; nullopt for every other message, and for bytes that are none.
std::optional<Reply> decode(std::string_view bytes, const Request& asked);

/// Lines of a resolv.conf(5); empty when the reply names no server.
std::string resolv_conf(const Reply& reply);

}  // namespace nexcage::vm::dhcp
