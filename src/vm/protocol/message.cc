#include "nexcage/vm/protocol/message.h"

#include <csignal>
#include <string>

#include "nexcage/sys/plan_codec.h"
#include "nexcage/vm/protocol/frame.h"

namespace nexcage::vm::protocol {
namespace {

template <class T>
std::string write(const T& message) {
  sys::plan::Writer writer;
  writer.put(message);
  return writer.take();
}

template <class T>
Result<T> read(std::string_view payload, std::string_view what) {
  sys::plan::Reader reader(payload);
  T message;
  reader.get(message);
  if (!reader.complete())
    return fail(Errc::RuntimeError, "a damaged " + std::string(what) + " message");
  return message;
}

bool is_signal(std::uint32_t number) { return number > 0 && number < NSIG; }

}  // namespace

std::string encode(const Hello& message) { return write(message); }
std::string encode(const Prepare& message) { return write(message); }
std::string encode(const Exec& message) { return write(message); }
std::string encode(const Started& message) { return write(message); }
std::string encode(const Credit& message) { return write(message); }
std::string encode(const Signal& message) { return write(message); }
std::string encode(const WindowSize& message) { return write(message); }
std::string encode(const Exit& message) { return write(message); }

template <>
Result<Hello> decode<Hello>(std::string_view payload) {
  NX_TRY(Hello hello, read<Hello>(payload, "hello"));
  if (hello.magic != kMagic) return fail(Errc::RuntimeError, "the hello of something else");
  if (hello.version != kVersion)
    return fail(Errc::RuntimeNotAvailable, "the other side speaks version " +
                                               std::to_string(hello.version) +
                                               " of the protocol, not " + std::to_string(kVersion));
  return hello;
}

template <>
Result<Prepare> decode<Prepare>(std::string_view payload) {
  NX_TRY(Prepare prepare, read<Prepare>(payload, "prepare"));
  for (const Source& source : prepare.sources) {
    const auto* root = std::get_if<Root>(&source);
    if (root != nullptr &&
        (root->upper.size() > 1 || root->upper.size() + root->lowers.size() == 0))
      return fail(Errc::RuntimeError, "a root without file system, or with two uppers");
    const auto* file = std::get_if<File>(&source);
    if (file != nullptr && file->content.size() > kMaxFile)
      return fail(Errc::RuntimeError, "a file that is too long");
  }
  for (const Interface& interface : prepare.interfaces)
    if (interface.mac.size() != 6) return fail(Errc::RuntimeError, "an address of a wrong length");
  return prepare;
}

template <>
Result<Exec> decode<Exec>(std::string_view payload) {
  return read<Exec>(payload, "exec");
}

template <>
Result<Started> decode<Started>(std::string_view payload) {
  return read<Started>(payload, "started");
}

template <>
Result<Credit> decode<Credit>(std::string_view payload) {
  NX_TRY(Credit credit, read<Credit>(payload, "credit"));
  if (credit.stream >= kStreams || credit.bytes == 0)
    return fail(Errc::RuntimeError, "credit for no stream or of nothing");
  return credit;
}

template <>
Result<Signal> decode<Signal>(std::string_view payload) {
  NX_TRY(Signal signal, read<Signal>(payload, "signal"));
  if (!is_signal(signal.number))
    return fail(Errc::RuntimeError, "no signal has number " + std::to_string(signal.number));
  return signal;
}

template <>
Result<WindowSize> decode<WindowSize>(std::string_view payload) {
  return read<WindowSize>(payload, "winsize");
}

template <>
Result<Exit> decode<Exit>(std::string_view payload) {
  NX_TRY(Exit exit, read<Exit>(payload, "exit"));
  if (exit.code > 255 || (exit.signal != 0 && !is_signal(exit.signal)))
    return fail(Errc::RuntimeError, "an exit status that no process has");
  return exit;
}

}  // namespace nexcage::vm::protocol
