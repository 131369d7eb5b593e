#include "nexcage/network/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cctype>

#include "nexcage/base/text.h"

namespace nexcage::network {
namespace {

constexpr int kByteBits = 8;
constexpr std::size_t kMacLength = 17;  // "aa:bb:cc:dd:ee:ff"

int family_of(const Address& address) {
  return address.family == Address::Family::v4 ? AF_INET : AF_INET6;
}

/// The byte `index` of the mask that a prefix of `length` bits is.
std::uint8_t mask_byte(int length, std::size_t index) {
  const int bits = std::clamp(length - static_cast<int>(index) * kByteBits, 0, kByteBits);
  return static_cast<std::uint8_t>(0xff00U >> bits);
}

Address masked(Address address, int length) {
  for (std::size_t i = 0; i < address.bytes.size(); ++i) address.bytes[i] &= mask_byte(length, i);
  return address;
}

}  // namespace

bool Address::is_loopback() const {
  if (family == Family::v4) return bytes[0] == 127;
  return std::all_of(bytes.begin(), bytes.end() - 1, [](auto b) { return b == 0; }) &&
         bytes.back() == 1;
}

bool Address::is_any() const {
  return std::ranges::all_of(bytes, [](auto b) { return b == 0; });
}

std::string Address::str() const {
  std::array<char, INET6_ADDRSTRLEN> buffer{};
  if (::inet_ntop(family_of(*this), bytes.data(), buffer.data(), buffer.size()) == nullptr)
    return {};
  return buffer.data();
}

std::optional<Address> parse_address(std::string_view text) {
  Address address;
  const std::string name(text);
  if (name.size() != text.size() || name.find('\0') != std::string::npos) return std::nullopt;
  address.family = name.find(':') == std::string::npos ? Address::Family::v4 : Address::Family::v6;
  if (::inet_pton(family_of(address), name.c_str(), address.bytes.data()) != 1) return std::nullopt;
  return address;
}

bool Prefix::contains(const Address& other) const {
  return other.family == address.family && masked(other, length) == network();
}

bool Prefix::overlaps(const Prefix& other) const {
  if (other.address.family != address.family) return false;
  const int shorter = std::min(length, other.length);
  return masked(address, shorter) == masked(other.address, shorter);
}

Address Prefix::network() const { return masked(address, length); }

Address Prefix::first_host() const {
  Address host = network();
  host.bytes[static_cast<std::size_t>(address.bits() / kByteBits) - 1] |= 1;
  return host;
}

std::string Prefix::str() const { return address.str() + "/" + std::to_string(length); }

std::optional<Prefix> parse_prefix(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto address = parse_address(text.substr(0, slash));
  const auto length = parse_u64(text.substr(slash + 1));
  if (!address || !length || *length > static_cast<std::uint64_t>(address->bits()))
    return std::nullopt;
  return Prefix{*address, static_cast<int>(*length)};
}

Result<std::string> parse_mac(std::string_view text) {
  bool good = text.size() == kMacLength;
  for (std::size_t i = 0; good && i < text.size(); ++i)
    good = i % 3 == 2 ? text[i] == ':' : std::isxdigit(static_cast<unsigned char>(text[i])) != 0;
  if (!good)
    return fail(Errc::InvalidSpec,
                "hardware address " + quote(text) + ": expected aa:bb:cc:dd:ee:ff");
  std::string mac = to_lower(text);
  // The lowest bit of the first byte makes it the address of a group (IEEE 802).
  constexpr std::string_view kOdd = "13579bdf";
  if (kOdd.find(mac[1]) != std::string_view::npos || mac == "00:00:00:00:00:00")
    return fail(Errc::InvalidSpec,
                "hardware address " + quote(text) + " cannot be that of an interface");
  return mac;
}

}  // namespace nexcage::network
