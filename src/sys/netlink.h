// Messages of rtnetlink(7), for the files of sys/ that speak it.
#pragma once

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"

namespace nexcage::sys::netlink {

/// Attributes one behind the other: the content of one that nests.
class Attributes {
 public:
  Attributes& add(std::uint16_t type, const void* data, std::size_t size) {
    const rtattr header{.rta_len = static_cast<std::uint16_t>(RTA_LENGTH(size)), .rta_type = type};
    bytes_.append(reinterpret_cast<const char*>(&header), sizeof header);
    bytes_.append(static_cast<const char*>(data), size);
    bytes_.resize(NLMSG_ALIGN(bytes_.size()), '\0');
    return *this;
  }
  Attributes& add(std::uint16_t type, const Attributes& content) {
    return add(type, content.bytes_.data(), content.bytes_.size());
  }
  /// A name with the zero byte that ends it.
  Attributes& name(std::uint16_t type, const std::string& text) {
    return add(type, text.c_str(), text.size() + 1);
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

/// A request as its bytes: header, the family's own struct, attributes.
class Request {
 public:
  template <class Body>
  Request(std::uint16_t type, std::uint16_t flags, const Body& body) {
    const nlmsghdr header{.nlmsg_len = 0,
                          .nlmsg_type = type,
                          .nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags),
                          .nlmsg_seq = 1,
                          .nlmsg_pid = 0};
    append(&header, sizeof header);
    append(&body, sizeof body);
  }
  void attribute(std::uint16_t type, const void* data, std::size_t size) {
    const rtattr header{.rta_len = static_cast<std::uint16_t>(RTA_LENGTH(size)), .rta_type = type};
    append(&header, sizeof header);
    append(data, size);
  }
  void attribute(std::uint16_t type, const std::string& data) {
    attribute(type, data.data(), data.size());
  }
  /// An attribute whose content are attributes.
  void attribute(std::uint16_t type, const Attributes& content);
  std::string_view finish() {
    const auto size = static_cast<std::uint32_t>(bytes_.size());
    std::memcpy(bytes_.data(), &size, sizeof size);
    return bytes_;
  }

 private:
  void append(const void* data, std::size_t size) {
    bytes_.append(static_cast<const char*>(data), size);
    bytes_.resize(NLMSG_ALIGN(bytes_.size()), '\0');
  }
  std::string bytes_;
};

inline Result<UniqueFd> open_netlink() {
  UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!socket) return fail_errno("open a route socket");
  return socket;
}

/// Calls `use` with each message of the answer; done at an acknowledgement, the end of a list, or
/// an error, which is returned.
template <class Use>
Result<> read_answers(int socket, Use use) {
  alignas(nlmsghdr) std::array<char, 32768> buffer;
  for (;;) {
    const ssize_t size = ::recv(socket, buffer.data(), buffer.size(), 0);
    if (size < 0) return fail_errno("read from the route socket");
    auto left = static_cast<unsigned>(size);
    for (auto* header = reinterpret_cast<nlmsghdr*>(buffer.data()); NLMSG_OK(header, left);
         header = NLMSG_NEXT(header, left)) {
      if (header->nlmsg_type == NLMSG_DONE) return {};
      if (header->nlmsg_type == NLMSG_ERROR) {
        const auto* error = static_cast<const nlmsgerr*>(NLMSG_DATA(header));
        if (error->error == 0) return {};
        return fail(Error::from_errno(Errc::FileError, -error->error, "route request"));
      }
      use(*header);
    }
  }
}

inline Result<> ask(Request& request) {
  NX_TRY(UniqueFd socket, open_netlink());
  const std::string_view bytes = request.finish();
  if (::send(socket.get(), bytes.data(), bytes.size(), 0) < 0)
    return fail_errno("write to the route socket");
  return read_answers(socket.get(), [](const nlmsghdr&) {});
}

inline Result<int> index_of(const std::string& name) {
  const unsigned index = ::if_nametoindex(name.c_str());
  if (index == 0) return fail_errno("find network device " + name);
  return static_cast<int>(index);
}

inline void Request::attribute(std::uint16_t type, const Attributes& content) {
  attribute(type, content.bytes());
}

}  // namespace nexcage::sys::netlink
