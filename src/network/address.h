// Addresses as values: IPv4 and IPv6, with and without a prefix length, and hardware addresses.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "nexcage/base/error.h"

namespace nexcage::network {

/// An IPv4 or IPv6 address in network byte order.
struct Address {
  enum class Family : std::uint8_t { v4, v6 };
  Family family = Family::v4;
  std::array<std::uint8_t, 16> bytes{};  // v4: the first four

  int bits() const { return family == Family::v4 ? 32 : 128; }
  bool is_loopback() const;
  bool is_any() const;
  /// As inet_ntop(3) writes it.
  std::string str() const;
  bool operator==(const Address&) const = default;
};
/// inet_pton(3) of either family; nullopt for anything else ("1.2.3", "::1%eth0").
std::optional<Address> parse_address(std::string_view text);

/// "10.112.0.1/22": an address and the length of its network's prefix in bits.
struct Prefix {
  Address address;
  int length = 0;

  bool contains(const Address& other) const;
  bool overlaps(const Prefix& other) const;
  /// The network's own address: the bits behind the prefix are 0.
  Address network() const;
  /// The first address behind the network's own: where a gateway usually is.
  Address first_host() const;
  std::string str() const;
  bool operator==(const Prefix&) const = default;
};
/// An address without "/length" is nullopt, too.
std::optional<Prefix> parse_prefix(std::string_view text);

/// "aa:bb:cc:dd:ee:ff" in lower case. InvalidSpec for another form, for a group address and for the
/// address of nobody.
Result<std::string> parse_mac(std::string_view text);

}  // namespace nexcage::network
