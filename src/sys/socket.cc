// Unix sockets and what travels over them (unix(7)).
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "nexcage/sys/fs.h"
#include "nexcage/sys/fs_resolve.h"
#include "nexcage/sys/pty.h"

namespace nexcage::sys {
namespace {

constexpr std::size_t kMaxFds = 253;  // SCM_MAX_FD: more in one message is refused by the kernel
constexpr int kBacklog = 64;

/// Room for one set of descriptors and one set of credentials.
struct ControlBuffer {
  alignas(cmsghdr)
      std::array<char, CMSG_SPACE(kMaxFds * sizeof(int)) + CMSG_SPACE(sizeof(ucred))> bytes;
};

/// A socket address, and the directory that keeps its path valid when that is a path in
/// /proc/self/fd.
struct Address {
  sockaddr_un value{};
  UniqueFd dir;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&value); }
};

Result<Address> short_address(const std::string& path) {
  Address address;
  address.value.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.value.sun_path)
    return fail_errno(path.empty() ? ENOENT : ENAMETOOLONG, "address of socket " + path);
  std::memcpy(address.value.sun_path, path.data(), path.size());
  return address;
}

/// sun_path has 108 bytes; what is longer is named through a descriptor of its directory.
Result<Address> address_of(const std::string& path) {
  if (path.size() < sizeof(sockaddr_un::sun_path)) return short_address(path);
  const auto [parent, name] = split_last(path);
  NX_TRY(UniqueFd dir, open_at(AT_FDCWD, parent.empty() ? "." : parent, O_PATH | O_DIRECTORY));
  NX_TRY(Address address, short_address(fd_path(dir.get()) + "/" + name));
  address.dir = std::move(dir);
  return address;
}

Result<UniqueFd> make_socket(int type) {
  UniqueFd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno("make a socket");
  return fd;
}

Result<std::size_t> send_once(int socket, std::string_view data, std::span<const int> fds) {
  iovec part{const_cast<char*>(data.data()), data.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  ControlBuffer control{};
  if (!fds.empty()) {
    header.msg_control = control.bytes.data();
    header.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(rights), fds.data(), fds.size_bytes());
  }
  ssize_t n = -1;
  do n = ::sendmsg(socket, &header, MSG_NOSIGNAL);
  while (n < 0 && errno == EINTR);
  if (n < 0) return fail_errno("send a message");
  return static_cast<std::size_t>(n);
}

/// Takes every descriptor first: whatever is refused afterwards, none stays open.
void take_control(msghdr& header, Message& message) {
  for (cmsghdr* item = CMSG_FIRSTHDR(&header); item != nullptr; item = CMSG_NXTHDR(&header, item)) {
    if (item->cmsg_level != SOL_SOCKET) continue;
    const std::size_t size = item->cmsg_len - CMSG_LEN(0);
    if (item->cmsg_type == SCM_RIGHTS) {
      for (std::size_t at = 0; at + sizeof(int) <= size; at += sizeof(int)) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(item) + at, sizeof fd);
        message.fds.emplace_back(fd);
      }
    } else if (item->cmsg_type == SCM_CREDENTIALS && size >= sizeof(ucred)) {
      ucred sender{};
      std::memcpy(&sender, CMSG_DATA(item), sizeof sender);
      message.sender = sender.pid;
    }
  }
}

std::string terminal_name(int master) {
  std::array<char, 64> name{};
  return ::ptsname_r(master, name.data(), name.size()) == 0 ? name.data() : "/dev/ptmx";
}

}  // namespace

Result<> send_message(int socket, std::string_view data, std::span<const int> fds) {
  // An empty message would look like the end of the connection.
  if (data.empty() && fds.empty()) return fail_errno(EINVAL, "send an empty message");
  if (fds.size() > kMaxFds) return fail_errno(EINVAL, "send more than 253 descriptors");
  NX_TRY(std::size_t sent, send_once(socket, data, fds));
  // A stream may take a part; the descriptors went with its first byte.
  while (sent < data.size()) {
    NX_TRY(const std::size_t more, send_once(socket, data.substr(sent), {}));
    sent += more;
  }
  return {};
}

Result<Message> receive_message(int socket, std::size_t max_bytes) {
  Message message;
  message.data.resize(max_bytes);
  iovec part{message.data.data(), message.data.size()};
  ControlBuffer control;
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.bytes.data();
  header.msg_controllen = control.bytes.size();
  ssize_t n = -1;
  do n = ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
  while (n < 0 && errno == EINTR);
  if (n < 0) return fail_errno("receive a message");
  take_control(header, message);
  if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
    return fail_errno(EMSGSIZE, "receive a message");
  message.data.resize(static_cast<std::size_t>(n));
  // At the end of a connection the kernel still reports credentials, of nobody.
  if (message.data.empty() && message.fds.empty()) message.sender.reset();
  return message;
}

Result<SocketPair> socket_pair() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return fail_errno("make a pair of sockets");
  SocketPair pair{UniqueFd(ends[0]), UniqueFd(ends[1])};
  const int on = 1;
  if (::setsockopt(pair.first.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0)
    return fail_errno("ask for the sender of messages");
  return pair;
}

Result<UniqueFd> connect_unix(const std::string& path, int type) {
  NX_TRY(const Address address, address_of(path), "connect to " + path);
  NX_TRY(UniqueFd fd, make_socket(type), "connect to " + path);
  while (::connect(fd.get(), address.get(), sizeof address.value) != 0)
    if (errno != EINTR) return fail_errno("connect to " + path);
  return fd;
}

Result<UniqueFd> listen_unix(int dir, const std::string& name, int type, mode_t mode) {
  const std::string path = dir == AT_FDCWD ? name : fd_path(dir) + "/" + name;
  NX_TRY(const Address address, address_of(path), "listen on " + name);
  NX_TRY(UniqueFd fd, make_socket(type), "listen on " + name);
  // bind(2) gives the new file the mode of the socket, less the umask: it is at no time open to
  // more than `mode` says.
  if (::fchmod(fd.get(), mode) != 0) return fail_errno("set the mode of socket " + name);
  if (::bind(fd.get(), address.get(), sizeof address.value) != 0)
    return fail_errno("listen on " + name);
  if (::fchmodat(dir, name.c_str(), mode, 0) != 0 || ::listen(fd.get(), kBacklog) != 0) {
    const int error = errno;
    (void)::unlinkat(dir, name.c_str(), 0);
    return fail_errno(error, "listen on " + name);
  }
  return fd;
}

Result<> send_console(const std::string& socket_path, int master) {
  NX_TRY(const UniqueFd socket, connect_unix(socket_path, SOCK_STREAM), "send the terminal");
  NX_CHECK(send_message(socket.get(), terminal_name(master), std::span(&master, 1)),
           "send the terminal to " + socket_path);
  return {};
}

}  // namespace nexcage::sys
