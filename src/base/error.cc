#include "nexcage/base/error.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <ranges>

namespace nexcage {
namespace {

constexpr std::array<std::string_view, kErrcCount> kNames = {
    "InvalidJson",      "InvalidSpec",         "FileError",         "OutOfMemory",
    "ImageNotFound",    "BundleNotFound",      "ContainerExists",   "ZFSError",
    "LXCError",         "ProxmoxError",        "ConfigError",       "InvalidConfig",
    "InvalidRootfs",    "RuntimeNotAvailable", "InvalidImage",      "LayerError",
    "HookError",        "RegistryError",       "ContainerNotFound", "InvalidState",
    "PermissionDenied", "Unsupported",         "Timeout",           "RuntimeError",
};

Errc classify(int err) {
  switch (err) {
    case EPERM:
    case EACCES:
      return Errc::PermissionDenied;
    case ENOMEM:
      return Errc::OutOfMemory;
    default:
      return Errc::FileError;
  }
}

/// strerror_r without its static buffer; runc, Podman and the shim match the lower-case form of
/// Go's messages ("no such file or directory"), so the first letter is lowered here.
std::string reason(int err) {
  std::array<char, 128> buffer{};
  std::string text = strerror_r(err, buffer.data(), buffer.size());
  if (!text.empty() && text[0] >= 'A' && text[0] <= 'Z' &&
      (text.size() < 2 || (text[1] >= 'a' && text[1] <= 'z')))
    text[0] = static_cast<char>(text[0] - 'A' + 'a');
  return text;
}

}  // namespace

std::string_view errc_name(Errc code) { return kNames.at(static_cast<std::size_t>(code)); }

Errc errc_from_name(std::string_view name, Errc fallback) {
  for (std::size_t i = 0; i < kNames.size(); ++i)
    if (kNames[i] == name) return static_cast<Errc>(i);
  return fallback;
}

Error::Error(Errc code, std::string text, std::source_location where) : code_(code) {
  frames_.push_back({std::move(text), where});
}

Error Error::from_errno(std::string text, std::source_location where) {
  return from_errno(errno, std::move(text), where);
}

Error Error::from_errno(int err, std::string text, std::source_location where) {
  return from_errno(classify(err), err, std::move(text), where);
}

Error Error::from_errno(Errc code, int err, std::string text, std::source_location where) {
  Error error(code, std::move(text), where);
  error.errno_ = err;
  return error;
}

Error Error::wrap(std::string text, std::source_location where) && {
  frames_.push_back({std::move(text), where});
  return std::move(*this);
}

Error Error::as(Errc code) && {
  code_ = code;
  return std::move(*this);
}

Error Error::hint(std::string text) && {
  if (hint_.empty()) hint_ = std::move(text);
  return std::move(*this);
}

Error Error::also(Error other) && {
  also_.push_back(std::move(other));
  return std::move(*this);
}

std::string Error::message() const {
  std::string out;
  for (const Frame& frame : std::views::reverse(frames_)) {
    if (!out.empty()) out += ": ";
    out += frame.text;
  }
  if (errno_ != 0) out += ": " + reason(errno_);
  return out;
}

std::string Error::debug_message() const {
  std::string out(errc_name(code_));
  if (errno_ != 0) out += " (" + reason(errno_) + ")";
  for (const Frame& frame : frames_) {
    out += "\n  ";
    out += frame.text;
    out += " [";
    out += frame.where.file_name();
    out += ':';
    out += std::to_string(frame.where.line());
    out += ']';
  }
  for (const Error& other : also_) out += "\n  also: " + other.debug_message();
  return out;
}

}  // namespace nexcage
