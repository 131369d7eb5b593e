#include "nexcage/cli/registry_args.h"

#include <unistd.h>

#include "nexcage/base/text.h"
#include "nexcage/cli/context.h"
#include "nexcage/sys/fs.h"

namespace nexcage::cli {
namespace {

constexpr std::size_t kMostCredentials = 64u << 10;

Result<registry::Credential> read_credential() {
  if (::isatty(STDIN_FILENO) != 0)
    return fail(Error(Errc::InvalidSpec, "--creds-stdin: standard input is a terminal")
                    .hint("nexcage login asks for a password"));
  NX_TRY(std::string text, sys::read_all(STDIN_FILENO, kMostCredentials), "--creds-stdin");
  const registry::Secret all(std::string(trim(text)));
  explicit_bzero(text.data(), text.size());
  const std::size_t colon = all.reveal().find(':');
  if (colon == 0 || colon == std::string::npos)
    return fail(Errc::InvalidSpec, "--creds-stdin: expected USER:PASSWORD");
  return registry::Credential{.kind = registry::Credential::Kind::password,
                              .username = all.reveal().substr(0, colon),
                              .secret = registry::Secret(all.reveal().substr(colon + 1))};
}

}  // namespace

void RegistryArgs::declare(Options& options) {
  options
      .flag("--tls-verify", tls_verify,
            "verify the registry's certificate; =false: do without, and without TLS")
      .flag("--creds-stdin", creds_stdin, "read USER:PASSWORD from standard input")
      .text("--authfile", "FILE", auth_file, "credentials as login and Podman write them")
      .text("--cert-dir", "DIR", cert_dir, "certificates (*.crt) and client keys (*.cert, *.key)");
}

Result<registry::Choices> RegistryArgs::choices() const {
  registry::Choices choices;
  choices.tls_verify = tls_verify;
  NX_TRY(choices.auth_file, absolute_path(auth_file));
  NX_TRY(choices.cert_dir, absolute_path(cert_dir));
  if (creds_stdin) {
    NX_TRY(choices.credential, read_credential());
  }
  return choices;
}

void ProgressArgs::declare(Options& options) {
  options
      .text("--progress", "STYLE", style,
            "tty (default on a terminal), plain, json or none, on standard error")
      .flag("-q,--quiet", quiet, "show no progress");
}

Result<std::unique_ptr<ProgressOutput>> ProgressArgs::open() const {
  if (quiet && !style.empty()) return fail(Errc::InvalidSpec, "--quiet and --progress");
  NX_TRY(const ProgressStyle wanted,
         parse_progress_style(quiet ? "none" : style, ::isatty(STDERR_FILENO) != 0));
  return std::make_unique<ProgressOutput>(wanted, STDERR_FILENO);
}

registry::TransferWatch watch(ProgressOutput& output) {
  return {.say = [&output](const std::string& line) { output.say(line); },
          .on_event = [&output](const json::Value& event) { output.event(event); },
          .on_tick = [&output] { output.tick(); }};
}

}  // namespace nexcage::cli
