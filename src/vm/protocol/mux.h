// Sessions and flow control above the frames, for both ends, without I/O: bytes go in and come out.
// Every stream of a session has a window: so many bytes may be under way that the reader has not
// yet passed on. A slow reader stops its writer, and nothing else.
//
//   mux.receive(bytes from the port);  while (auto frame = mux.next()) ...;
//   write mux.pending() to the port;   mux.sent(what was written);
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "nexcage/base/error.h"
#include "nexcage/vm/protocol/frame.h"
#include "nexcage/vm/protocol/message.h"

namespace nexcage::vm::protocol {

/// Bytes of one stream that may be under way.
inline constexpr std::uint32_t kWindow = 256u << 10;
/// A prepare or exec with all its parts.
inline constexpr std::size_t kMaxMessage = 4u << 20;
/// Bytes waiting to be sent: a peer that lets more pile up does not read (RuntimeError).
inline constexpr std::size_t kMaxPending = 64u << 20;

/// A data frame's payload, cut: what was written to which stream.
struct Data {
  Stream stream = Stream::in;
  std::string_view bytes;
};
/// Of a data frame that Mux::next() gave.
Data data_of(const Frame& frame);
/// Of an eof frame that Mux::next() gave.
Stream stream_of(const Frame& frame);

class Mux {
 public:
  explicit Mux(Role role) : role_(role) {}

  /// Bytes from the other side, in any portion.
  void receive(std::string_view bytes) { decoder_.feed(bytes); }
  /// The next frame that the caller has to act on; nullopt when there is none yet. Checked: it may
  /// come from that side now, its session exists, and data is within the window. Credit is taken
  /// into account here and not given out; the parts of a message arrive as one frame. After an
  /// error (RuntimeError) the connection is of no use.
  Result<std::optional<Frame>> next();
  /// False in the middle of a frame or of a message's parts.
  bool at_boundary() const { return decoder_.at_boundary() && parts_.empty(); }

  /// What has to be written to the other side.
  std::string_view pending() const { return std::string_view(out_).substr(sent_); }
  /// So many bytes of pending() were written.
  void sent(std::size_t bytes);

  /// Queues a frame. A prepare or exec (at most kMaxMessage bytes) opens its session and is cut
  /// into parts; exit and error end theirs.
  void send(Type type, std::uint32_t session, std::string_view payload = {});
  /// How many bytes may be sent to the stream now; 0 for a session that is over.
  std::size_t window(std::uint32_t session, Stream stream) const;
  /// Queues data, at most window() bytes.
  void send_data(std::uint32_t session, Stream stream, std::string_view bytes);
  /// Queues the end of the stream, once; no data follows.
  void send_eof(std::uint32_t session, Stream stream);
  /// So many bytes of data frames have been passed on: the other side may send as many again.
  void consumed(std::uint32_t session, Stream stream, std::size_t bytes);

  bool is_open(std::uint32_t session) const { return sessions_.contains(session); }

 private:
  struct Flow {
    std::uint32_t window = kWindow;     // that we may send
    std::uint32_t allowance = kWindow;  // that the other side may send
    std::uint32_t uncredited = 0;       // passed on here, not yet told
    bool sent_eof = false, received_eof = false;
  };
  struct Session {
    std::array<Flow, kStreams> flows;
    bool prepared = false, started = false;
  };

  /// True: for the caller.
  Result<bool> accept(Frame& frame);
  Result<bool> accept_at_host(const Frame& frame);
  Result<bool> accept_at_guest(Frame& frame);
  Result<bool> accept_session_frame(const Frame& frame, Session& session);
  Result<bool> accept_part(Frame& frame);
  Result<> accept_data(const Frame& frame, Session& session) const;
  bool sends(Stream stream) const { return (stream == Stream::in) == (role_ == Role::host); }

  Role role_;
  Decoder decoder_;
  std::map<std::uint32_t, Session> sessions_;
  std::string parts_;
  std::uint32_t parts_session_ = 0;
  bool greeted_ = false;
  bool broken_ = false;
  std::string out_;
  std::size_t sent_ = 0;  // bytes in front of out_ that were written
};

}  // namespace nexcage::vm::protocol
