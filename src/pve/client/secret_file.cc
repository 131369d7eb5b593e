#include "nexcage/pve/client/secret_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"

namespace nexcage::pve::client {

namespace {

constexpr std::size_t kMostSecretBytes = 4096;
constexpr mode_t kOthers = 0077;

}  // namespace

Result<registry::Secret> read_secret(const std::string& path) {
  NX_TRY(const UniqueFd file, sys::open_at(AT_FDCWD, path, O_RDONLY | O_NONBLOCK), "secret file");
  NX_TRY(const struct stat about, sys::stat_fd(file.get()));
  if (!S_ISREG(about.st_mode))
    return fail(Errc::ConfigError, "secret file " + path + " is no regular file");
  if ((about.st_mode & kOthers) != 0)
    return fail(Error(Errc::PermissionDenied, "secret file " + path + " can be read by others")
                    .hint("chmod 600 " + path));
  if (about.st_uid != ::geteuid() && about.st_uid != 0)
    return fail(Errc::PermissionDenied, "secret file " + path + " belongs to user " +
                                            std::to_string(about.st_uid) + ", not to the caller");
  NX_TRY(const std::string text, sys::read_all(file.get(), kMostSecretBytes),
         "secret file " + path);
  registry::Secret secret(std::string(trim(text.substr(0, text.find('\n')))));
  if (secret.empty()) return fail(Errc::ConfigError, "secret file " + path + " is empty");
  return secret;
}

registry::Secret take_secret(const char* variable) {
  const char* value = std::getenv(variable);
  if (value == nullptr) return {};
  registry::Secret secret{std::string(value)};
  (void)::unsetenv(variable);
  return secret;
}

}  // namespace nexcage::pve::client
