#include "nexcage/vm/protocol/mux.h"

#include <algorithm>
#include <utility>

namespace nexcage::vm::protocol {
namespace {

/// Told in portions: small enough that a writer never waits for the rest, large enough that credit
/// is not a frame for each frame of data.
constexpr std::uint32_t kCreditPortion = kWindow / 4;

std::unexpected<Error> unexpected_frame(const Frame& frame, std::string_view why) {
  return fail(Errc::RuntimeError, "an unexpected " + std::string(type_name(frame.type)) +
                                      " frame of session " + std::to_string(frame.session) + ": " +
                                      std::string(why));
}

bool without_payload(Type type) {
  return type == Type::prepared || type == Type::start || type == Type::shutdown;
}

bool of_session_only(Type type) {
  return type == Type::data || type == Type::credit || type == Type::eof || type == Type::signal ||
         type == Type::winsize;
}

}  // namespace

Data data_of(const Frame& frame) {
  return {.stream = static_cast<Stream>(frame.payload.at(0)),
          .bytes = std::string_view(frame.payload).substr(1)};
}

Stream stream_of(const Frame& frame) { return static_cast<Stream>(frame.payload.at(0)); }

Result<std::optional<Frame>> Mux::next() {
  if (broken_) return fail(Errc::RuntimeError, "the conversation was broken off before");
  for (;;) {
    auto frame = decoder_.next();
    if (!frame) {
      broken_ = true;
      return frame;
    }
    if (!*frame) return std::nullopt;
    auto accepted = accept(**frame);
    if (!accepted) {
      broken_ = true;
      return fail(std::move(accepted).error());
    }
    if (*accepted) return frame;
  }
}

Result<bool> Mux::accept(Frame& frame) {
  if (pending().size() > kMaxPending)
    return fail(Errc::RuntimeError, "the other side does not read what it is sent");
  if (without_payload(frame.type) && !frame.payload.empty())
    return unexpected_frame(frame, "it has content");
  if (frame.type == Type::hello) {
    if (std::exchange(greeted_, true)) return unexpected_frame(frame, "it came before");
    NX_CHECK(decode<Hello>(frame.payload));
    return true;
  }
  if (!greeted_) return unexpected_frame(frame, "hello comes first");
  return role_ == Role::host ? accept_at_host(frame) : accept_at_guest(frame);
}

Result<bool> Mux::accept_at_host(const Frame& frame) {
  if (frame.type == Type::error && frame.session == kProtocolSession) return true;
  const auto found = sessions_.find(frame.session);
  if (found == sessions_.end()) return unexpected_frame(frame, "there is no such session");
  Session& session = found->second;
  switch (frame.type) {
    case Type::prepared:
      if (frame.session != kContainerSession || std::exchange(session.prepared, true))
        return unexpected_frame(frame, "it came before");
      return true;
    case Type::started:
      if (std::exchange(session.started, true)) return unexpected_frame(frame, "it came before");
      return true;
    case Type::exit:
    case Type::error:
      sessions_.erase(found);
      return true;
    case Type::data:
    case Type::credit:
    case Type::eof:
      return accept_session_frame(frame, session);
    default:
      return unexpected_frame(frame, "a guest does not send it");
  }
}

Result<bool> Mux::accept_at_guest(Frame& frame) {
  if (!parts_.empty() &&
      (frame.session != parts_session_ ||
       (frame.type != Type::part && frame.type != Type::prepare && frame.type != Type::exec)))
    return unexpected_frame(frame, "the parts of another message come first");
  switch (frame.type) {
    case Type::part:
    case Type::prepare:
    case Type::exec:
      return accept_part(frame);
    case Type::start:
    case Type::shutdown:
      return true;
    default:
      break;
  }
  if (!of_session_only(frame.type)) return unexpected_frame(frame, "a host does not send it");
  // The host may not know yet that the session has ended.
  const auto found = sessions_.find(frame.session);
  if (found == sessions_.end()) return false;
  return accept_session_frame(frame, found->second);
}

Result<bool> Mux::accept_part(Frame& frame) {
  if (frame.type == Type::part && frame.payload.empty()) return unexpected_frame(frame, "empty");
  if (parts_.size() + frame.payload.size() > kMaxMessage)
    return unexpected_frame(frame, "the message is too long");
  parts_session_ = frame.session;
  parts_ += frame.payload;
  if (frame.type == Type::part) return false;
  if ((frame.type == Type::prepare) != (frame.session == kContainerSession) ||
      frame.session == kProtocolSession)
    return unexpected_frame(frame, "it belongs to another session");
  if (!sessions_.try_emplace(frame.session).second)
    return unexpected_frame(frame, "the session exists");
  frame.payload = std::exchange(parts_, {});
  return true;
}

Result<> Mux::accept_data(const Frame& frame, Session& session) const {
  const auto index = static_cast<std::uint8_t>(frame.payload[0]);
  if (index >= kStreams || sends(static_cast<Stream>(index)))
    return unexpected_frame(frame, "no stream of that side");
  Flow& flow = session.flows.at(index);
  if (flow.received_eof) return unexpected_frame(frame, "the stream has ended");
  if (frame.type == Type::eof) {
    if (frame.payload.size() != 1) return unexpected_frame(frame, "it has content");
    flow.received_eof = true;
    return {};
  }
  const std::size_t size = frame.payload.size() - 1;
  if (size == 0) return unexpected_frame(frame, "it has no content");
  if (size > flow.allowance) return unexpected_frame(frame, "beyond the window");
  flow.allowance -= static_cast<std::uint32_t>(size);
  return {};
}

Result<bool> Mux::accept_session_frame(const Frame& frame, Session& session) {
  if (frame.type == Type::data || frame.type == Type::eof) {
    if (frame.payload.empty()) return unexpected_frame(frame, "it names no stream");
    NX_CHECK(accept_data(frame, session));
    return true;
  }
  if (frame.type != Type::credit) return true;
  NX_TRY(const Credit credit, decode<Credit>(frame.payload));
  Flow& flow = session.flows.at(credit.stream);
  if (!sends(static_cast<Stream>(credit.stream)) || credit.bytes > kWindow - flow.window)
    return unexpected_frame(frame, "more than was sent");
  flow.window += credit.bytes;
  return false;
}

void Mux::sent(std::size_t bytes) {
  sent_ += bytes;
  // What is left is moved only when it is the smaller part: no byte for more than one that was
  // written.
  if (sent_ < out_.size() - sent_) return;
  out_.erase(0, sent_);
  sent_ = 0;
}

void Mux::send(Type type, std::uint32_t session, std::string_view payload) {
  if (type == Type::exit || type == Type::error) sessions_.erase(session);
  if (type == Type::prepare || type == Type::exec) {
    sessions_.try_emplace(session);
    while (payload.size() > kMaxPayload) {
      append_frame(out_, Type::part, session, payload.substr(0, kMaxPayload));
      payload.remove_prefix(kMaxPayload);
    }
  }
  append_frame(out_, type, session, payload);
}

std::size_t Mux::window(std::uint32_t session, Stream stream) const {
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return 0;
  const Flow& flow = found->second.flows.at(static_cast<std::size_t>(stream));
  return flow.sent_eof ? 0 : flow.window;
}

void Mux::send_data(std::uint32_t session, Stream stream, std::string_view bytes) {
  bytes = bytes.substr(0, window(session, stream));
  if (bytes.empty()) return;
  sessions_.at(session).flows.at(static_cast<std::size_t>(stream)).window -=
      static_cast<std::uint32_t>(bytes.size());
  const char number = static_cast<char>(stream);
  while (!bytes.empty()) {
    const std::size_t size = std::min(bytes.size(), kMaxPayload - 1);
    append_frame(out_, Type::data, session, std::string_view(&number, 1), bytes.substr(0, size));
    bytes.remove_prefix(size);
  }
}

void Mux::send_eof(std::uint32_t session, Stream stream) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return;
  if (std::exchange(found->second.flows.at(static_cast<std::size_t>(stream)).sent_eof, true))
    return;
  append_frame(out_, Type::eof, session, std::string(1, static_cast<char>(stream)));
}

void Mux::consumed(std::uint32_t session, Stream stream, std::size_t bytes) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return;
  Flow& flow = found->second.flows.at(static_cast<std::size_t>(stream));
  flow.uncredited += static_cast<std::uint32_t>(bytes);
  if (flow.received_eof || flow.uncredited < kCreditPortion) return;
  append_frame(
      out_, Type::credit, session,
      encode(Credit{.stream = static_cast<std::uint8_t>(stream), .bytes = flow.uncredited}));
  flow.allowance += std::exchange(flow.uncredited, 0);
}

}  // namespace nexcage::vm::protocol
