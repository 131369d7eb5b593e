// What a hostile guest sends: the host's end of the conversation, fed with bytes in the portions
// that the first of them chooses, while the host goes on with its own sessions.
#include <cstring>

#include "harness.h"
#include "nexcage/sys/plan_message.h"
#include "nexcage/vm/protocol/mux.h"

namespace nexcage::fuzz {
namespace {

namespace protocol = vm::protocol;
using vm::protocol::Data;
using vm::protocol::kContainerSession;
using vm::protocol::kMaxPayload;
using vm::protocol::kWindow;
using vm::protocol::Mux;
using vm::protocol::Role;
using vm::protocol::Stream;
using vm::protocol::Type;

/// The sum of data that a stream may have at most without credit.
struct Taken {
  std::size_t bytes[2] = {0, 0};
};

void use(const protocol::Frame& frame) {
  switch (frame.type) {
    case Type::exit:
      if (const auto exit = protocol::decode<protocol::Exit>(frame.payload))
        check(exit->code <= 255 && exit->signal < 65, "an exit status is one");
      return;
    case Type::started:
      (void)protocol::decode<protocol::Started>(frame.payload);
      return;
    case Type::error:
      (void)sys::plan::decode_failure(frame.payload);
      return;
    default:
      return;
  }
}

void take(Mux& mux, const protocol::Frame& frame, Taken& taken) {
  use(frame);
  if (frame.type != Type::data) return;
  const Data data = protocol::data_of(frame);
  check(data.stream == Stream::out || data.stream == Stream::err, "a guest sends output only");
  check(!data.bytes.empty() && data.bytes.size() < kMaxPayload, "data has a size");
  std::size_t& sum = taken.bytes[data.stream == Stream::out ? 0 : 1];
  sum += data.bytes.size();
  check(frame.session != 0 || sum <= kWindow, "without credit no more than the window comes");
  if (frame.session != 0) mux.consumed(frame.session, data.stream, data.bytes.size());
}

/// A hello of version 0 is one of this build: so a seed goes on being read behind it.
std::string with_version(std::string_view bytes) {
  constexpr std::size_t kAt = 1 + protocol::kHeaderSize + sizeof protocol::kMagic;
  std::string out(bytes);
  std::uint32_t version = 0;
  if (out.size() < kAt + sizeof version) return out;
  std::memcpy(&version, &out[kAt], sizeof version);
  if (version == 0) std::memcpy(&out[kAt], &protocol::kVersion, sizeof version);
  return out;
}

}  // namespace

NX_HARNESS(vm_guest) {
  const std::string given = with_version(text_of(data, size));
  std::string_view bytes = given;
  if (bytes.empty()) return 0;
  const std::size_t portion = static_cast<unsigned char>(bytes[0]) + std::size_t{1};
  bytes.remove_prefix(1);
  Mux mux(Role::host);
  mux.send(Type::hello, kContainerSession, encode(protocol::Hello{}));
  mux.send(Type::prepare, kContainerSession, "plan");
  mux.send(Type::exec, 1, "plan");
  mux.send_data(1, Stream::in, std::string(1000, 'x'));
  Taken taken, others;
  while (!bytes.empty()) {
    mux.receive(bytes.substr(0, portion));
    bytes.remove_prefix(std::min(portion, bytes.size()));
    for (;;) {
      const auto frame = mux.next();
      if (!frame) {
        check_message(frame.error());
        check(!mux.next().has_value(), "a broken conversation stays broken");
        return 0;
      }
      if (!*frame) break;
      take(mux, **frame, (*frame)->session == 0 ? taken : others);
      check(mux.window(1, Stream::in) <= kWindow, "credit is never beyond the window");
    }
  }
  return 0;
}

}  // namespace nexcage::fuzz
