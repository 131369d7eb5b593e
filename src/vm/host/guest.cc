#include "nexcage/vm/host/guest.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace nexcage::vm::host {
namespace {

using protocol::Frame;
using protocol::Stream;
using protocol::Type;

/// Of input in one frame, whose payload begins with the stream's number.
constexpr std::size_t kMostInput = protocol::kMaxPayload - 1;

}  // namespace

void Guest::add_to(Poller& poller) {
  const short wanted = static_cast<short>(POLLIN | (mux_.pending().empty() ? 0 : POLLOUT));
  poller.add(port_.get(), wanted, [this](short events) -> Result<> {
    if ((events & POLLOUT) != 0) NX_CHECK(send());
    if ((events & (POLLIN | POLLHUP | POLLERR)) != 0) NX_CHECK(receive());
    return {};
  });
  add_readers_to(poller);
  for (auto& [number, session] : sessions_) {
    if (!session.started || mux_.window(number, Stream::in) == 0) continue;
    poller.add(session.in.fd(), POLLIN, [this, number](short) -> Result<> {
      if (const auto found = sessions_.find(number); found != sessions_.end())
        read_input(number, found->second);
      return send();
    });
  }
}

void Guest::add_readers_to(Poller& poller) {
  for (auto& [number, session] : sessions_)
    for (const Stream stream : {Stream::out, Stream::err}) {
      if (!session.outlet(stream).waiting()) continue;
      poller.add(session.outlet(stream).fd(), POLLOUT, [this, number, stream](short) -> Result<> {
        if (const auto found = sessions_.find(number); found != sessions_.end())
          write(number, found->second, stream);
        return {};
      });
    }
}

Result<> Guest::receive() {
  // Once round is enough: poll(2) tells again, and others have their turn.
  std::array<char, 65536> part;
  const ssize_t n = ::recv(port_.get(), part.data(), part.size(), MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return {};
  if (n < 0 && errno != ECONNRESET) return fail_errno("read from the guest");
  if (n <= 0)
    return fail(Errc::RuntimeError, mux_.at_boundary()
                                        ? "the guest has ended"
                                        : "the guest has ended in the middle of a message");
  mux_.receive({part.data(), static_cast<std::size_t>(n)});
  for (;;) {
    NX_TRY(const auto frame, mux_.next(), "conversation with the guest");
    if (!frame) break;
    NX_CHECK(dispatch(*frame));
  }
  return send();
}

Result<> Guest::dispatch(const Frame& frame) {
  const std::string what = "conversation with the guest";
  switch (frame.type) {
    case Type::hello: {
      NX_CHECK(protocol::decode<protocol::Hello>(frame.payload), what);
      mux_.send(Type::hello, protocol::kContainerSession, protocol::encode(protocol::Hello{}));
      return events_.hello();
    }
    case Type::prepared:
      return events_.prepared();
    case Type::error: {
      NX_TRY(const auto failure, sys::plan::decode_failure(frame.payload), what);
      if (frame.session == protocol::kProtocolSession)
        return fail(Errc::RuntimeError, "the guest: " + failure.text);
      return events_.failed(frame.session, failure);
    }
    default:
      return dispatch_session(frame);
  }
}

Result<> Guest::dispatch_session(const Frame& frame) {
  const auto found = sessions_.find(frame.session);
  if (found == sessions_.end()) {
    // Its client has gone. The guest must not wait for a reader.
    if (frame.type == Type::data) {
      const protocol::Data data = protocol::data_of(frame);
      mux_.consumed(frame.session, data.stream, data.bytes.size());
    }
    return {};
  }
  Session& session = found->second;
  switch (frame.type) {
    case Type::started: {
      NX_TRY(const auto started, protocol::decode<protocol::Started>(frame.payload));
      session.started = true;
      return events_.started(frame.session, started);
    }
    case Type::data: {
      const protocol::Data data = protocol::data_of(frame);
      session.outlet(data.stream).append(data.bytes);
      write(frame.session, session, data.stream);
      return {};
    }
    case Type::eof:
      session.outlet(protocol::stream_of(frame)).finish();
      return {};
    case Type::exit: {
      NX_TRY(const auto exit, protocol::decode<protocol::Exit>(frame.payload));
      session.in.close();
      session.out.finish();
      session.err.finish();
      return events_.exited(frame.session, exit);
    }
    default:
      return {};
  }
}

Result<> Guest::send() {
  while (!mux_.pending().empty()) {
    const std::string_view bytes = mux_.pending();
    const ssize_t n = ::send(port_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return {};
    if (n < 0) return {};  // its end is told when it is read from
    mux_.sent(static_cast<std::size_t>(n));
  }
  return {};
}

void Guest::write(std::uint32_t number, Session& session, Stream stream) {
  const std::size_t taken = session.outlet(stream).write();
  if (taken == 0) return;
  last_progress_ = Poller::Clock::now();
  mux_.consumed(number, stream, taken);
}

void Guest::read_input(std::uint32_t number, Session& session) {
  const std::size_t room = std::min(mux_.window(number, Stream::in), kMostInput);
  const std::string bytes = session.in.read(room);
  if (!bytes.empty()) mux_.send_data(number, Stream::in, bytes);
  if (session.in.at_end() && !std::exchange(session.told_end, true))
    mux_.send_eof(number, Stream::in);
}

void Guest::prepare(std::string_view message, Streams streams) {
  mux_.send(Type::prepare, protocol::kContainerSession, message);
  sessions_[protocol::kContainerSession] = Session{.in = Inlet(std::move(streams.in)),
                                                   .out = Outlet(std::move(streams.out)),
                                                   .err = Outlet(std::move(streams.err))};
}

std::uint32_t Guest::exec(std::string_view message, Streams streams) {
  const std::uint32_t number = ++last_session_;
  mux_.send(Type::exec, number, message);
  sessions_[number] = Session{.in = Inlet(std::move(streams.in)),
                              .out = Outlet(std::move(streams.out)),
                              .err = Outlet(std::move(streams.err))};
  return number;
}

void Guest::start() { mux_.send(Type::start, protocol::kContainerSession); }

void Guest::signal(std::uint32_t session, int number, bool all) {
  mux_.send(
      Type::signal, session,
      protocol::encode(protocol::Signal{.number = static_cast<std::uint32_t>(number), .all = all}));
}

void Guest::set_size(std::uint32_t session, std::uint16_t rows, std::uint16_t columns) {
  mux_.send(Type::winsize, session,
            protocol::encode(protocol::WindowSize{.rows = rows, .columns = columns}));
}

void Guest::shut_down() { mux_.send(Type::shutdown, protocol::kContainerSession); }

bool Guest::drained(std::uint32_t session) const {
  const auto found = sessions_.find(session);
  return found == sessions_.end() || (!found->second.out.waiting() && !found->second.err.waiting());
}

void Guest::forget(std::uint32_t session) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return;
  // Or the guest's process would wait for a reader of these.
  for (const Stream stream : {Stream::out, Stream::err})
    mux_.consumed(session, stream, found->second.outlet(stream).close());
  sessions_.erase(found);
}

void Guest::say(std::uint32_t session, std::string_view text) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return;
  Outlet& outlet = found->second.err.fd() >= 0 ? found->second.err : found->second.out;
  outlet.append(text);
  (void)outlet.write();
}

}  // namespace nexcage::vm::host
