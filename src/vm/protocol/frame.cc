#include "nexcage/vm/protocol/frame.h"

#include <array>
#include <bit>
#include <cstring>

namespace nexcage::vm::protocol {
namespace {

static_assert(std::endian::native == std::endian::little, "integers go out as they lie in memory");

constexpr std::array<std::string_view, kLastType + 1> kNames = {
    "",     "hello",  "part", "prepare", "prepared", "start", "started",  "exec",
    "data", "credit", "eof",  "signal",  "winsize",  "exit",  "shutdown", "error"};

struct Header {
  std::uint32_t length = 0;
  std::uint16_t type = 0;
  std::uint16_t flags = 0;
  std::uint32_t session = 0;
};
static_assert(sizeof(Header) == kHeaderSize);

Result<> check_header(const Header& header) {
  if (header.length > kMaxPayload)
    return fail(Errc::RuntimeError,
                "a frame of " + std::to_string(header.length) + " bytes, more than is allowed");
  if (header.type == 0 || header.type > kLastType)
    return fail(Errc::RuntimeError, "a frame of unknown type " + std::to_string(header.type));
  if (header.flags != 0)
    return fail(Errc::RuntimeError, "a frame with unknown flags " + std::to_string(header.flags));
  return {};
}

}  // namespace

std::string_view type_name(Type type) {
  const auto index = static_cast<std::size_t>(type);
  return index < kNames.size() ? kNames[index] : "";
}

void append_frame(std::string& out, Type type, std::uint32_t session, std::string_view payload,
                  std::string_view rest) {
  const Header header{.length = static_cast<std::uint32_t>(payload.size() + rest.size()),
                      .type = static_cast<std::uint16_t>(type),
                      .session = session};
  out.append(reinterpret_cast<const char*>(&header), sizeof header);
  out += payload;
  out += rest;
}

void Decoder::feed(std::string_view bytes) {
  if (broken_) return;
  buffer_.erase(0, used_);
  used_ = 0;
  buffer_ += bytes;
}

Result<std::optional<Frame>> Decoder::next() {
  if (broken_) return fail(Errc::RuntimeError, "the conversation was broken off before");
  const std::string_view rest = std::string_view(buffer_).substr(used_);
  if (rest.size() < kHeaderSize) return std::nullopt;
  Header header;
  std::memcpy(&header, rest.data(), sizeof header);
  if (auto checked = check_header(header); !checked) {
    broken_ = true;
    return fail(std::move(checked).error());
  }
  if (rest.size() < kHeaderSize + header.length) return std::nullopt;
  used_ += kHeaderSize + header.length;
  return Frame{.type = static_cast<Type>(header.type),
               .session = header.session,
               .payload = std::string(rest.substr(kHeaderSize, header.length))};
}

}  // namespace nexcage::vm::protocol
