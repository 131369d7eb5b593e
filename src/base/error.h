// The error type of the whole program: a closed set of codes, a chain of what was being attempted,
// why it failed, and what the user can do about it. Values, never exceptions.
#pragma once

#include <cstdint>
#include <expected>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nexcage {

/// Stable error codes; their names are shown to users in text and JSON exactly as written here.
enum class Errc : std::uint8_t {
  InvalidJson,
  InvalidSpec,
  FileError,
  OutOfMemory,
  ImageNotFound,
  BundleNotFound,
  ContainerExists,
  ZFSError,
  LXCError,
  ProxmoxError,
  ConfigError,
  InvalidConfig,
  InvalidRootfs,
  RuntimeNotAvailable,
  InvalidImage,
  LayerError,
  HookError,
  RegistryError,
  ContainerNotFound,
  InvalidState,
  PermissionDenied,
  Unsupported,
  Timeout,
  RuntimeError,
};

/// Number of codes; the table of names has one row for each.
inline constexpr int kErrcCount = static_cast<int>(Errc::RuntimeError) + 1;

/// The code's name as users see it, e.g. "ImageNotFound".
std::string_view errc_name(Errc code);

/// The code with this name, or `fallback` when there is none.
Errc errc_from_name(std::string_view name, Errc fallback);

/// One line of the context chain: what was being done, and where in the source.
struct Frame {
  std::string text;
  std::source_location where;
};

/// An error value. `frames` run innermost first. Move-only use is cheap; copies are allowed.
class [[nodiscard]] Error {
 public:
  Error(Errc code, std::string text, std::source_location where = std::source_location::current());

  /// An error whose cause is the current errno, read at once. The code is FileError unless errno
  /// says PermissionDenied (EPERM, EACCES) or OutOfMemory (ENOMEM).
  static Error from_errno(std::string text,
                          std::source_location where = std::source_location::current());
  /// The same for a given errno value.
  static Error from_errno(int err, std::string text,
                          std::source_location where = std::source_location::current());
  /// The same with a fixed code: the errno is kept as the reason, not as the classification.
  static Error from_errno(Errc code, int err, std::string text,
                          std::source_location where = std::source_location::current());

  /// Adds what the caller was attempting. Never repeats the callee's words.
  Error wrap(std::string text, std::source_location where = std::source_location::current()) &&;
  /// Replaces the code, for a caller that knows better what kind of failure this is.
  Error as(Errc code) &&;
  /// What the user can do about it, one sentence. The innermost hint wins.
  Error hint(std::string text) &&;
  /// Records a failure of clean-up beside the failure itself.
  Error also(Error other) &&;

  Errc code() const { return code_; }
  int sys_errno() const { return errno_; }
  const std::vector<Frame>& frames() const { return frames_; }
  const std::vector<Error>& also() const { return also_; }
  const std::string& hint() const { return hint_; }

  /// One line for people: outermost context first, then the reason. Without code and hint.
  std::string message() const;
  /// The message with the source location of each frame, several lines, for --debug.
  std::string debug_message() const;

 private:
  Errc code_;
  int errno_ = 0;
  std::vector<Frame> frames_;
  std::vector<Error> also_;
  std::string hint_;
};

/// What every function that can fail returns.
template <class T = void>
using Result = std::expected<T, Error>;

/// Shorthand for `return fail(Errc::X, "...")`.
inline std::unexpected<Error> fail(Errc code, std::string text,
                                   std::source_location where = std::source_location::current()) {
  return std::unexpected(Error(code, std::move(text), where));
}
inline std::unexpected<Error> fail(Error error) { return std::unexpected(std::move(error)); }
/// Shorthand for `return fail_errno("open x")`: captures errno.
inline std::unexpected<Error> fail_errno(
    std::string text, std::source_location where = std::source_location::current()) {
  return std::unexpected(Error::from_errno(std::move(text), where));
}
inline std::unexpected<Error> fail_errno(
    int err, std::string text, std::source_location where = std::source_location::current()) {
  return std::unexpected(Error::from_errno(err, std::move(text), where));
}

}  // namespace nexcage

#define NX_CONCAT_(a, b) a##b
#define NX_CONCAT(a, b) NX_CONCAT_(a, b)

#define NX_TRY_IMPL_(tmp, decl, expr, ...)                                                 \
  auto tmp = (expr);                                                                       \
  if (!tmp) return std::unexpected(std::move(tmp).error() __VA_OPT__(.wrap(__VA_ARGS__))); \
  decl = *std::move(tmp)

/// NX_TRY(auto fd, open_it(), "open it"): declares `fd`, or returns the error with the context.
/// Inside a function returning Result<U>. The context text is evaluated only on failure.
#define NX_TRY(decl, ...) NX_TRY_IMPL_(NX_CONCAT(nx_try_, __LINE__), decl, __VA_ARGS__)

#define NX_CHECK_IMPL_(tmp, expr, ...)                                               \
  do {                                                                               \
    if (auto tmp = (expr); !tmp)                                                     \
      return std::unexpected(std::move(tmp).error() __VA_OPT__(.wrap(__VA_ARGS__))); \
  } while (false)

/// NX_CHECK(do_it(), "do it"): the same for results whose value is not needed.
#define NX_CHECK(...) NX_CHECK_IMPL_(NX_CONCAT(nx_check_, __LINE__), __VA_ARGS__)
