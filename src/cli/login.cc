// nexcage login: credentials for a registry, checked there and then kept.
#include "nexcage/registry/login.h"

#include <unistd.h>

#include <cstdio>
#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/cli/logins.h"
#include "nexcage/cli/output.h"
#include "nexcage/cli/verb.h"
#include "nexcage/image/helper.h"
#include "nexcage/registry/plan.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/pty.h"

namespace nexcage::cli {

Result<std::string> login_key(const registry::Files& files, std::span<const std::string> words) {
  if (!words.empty()) return registry::parse_login_key(words[0]);
  const auto& search = files.registries.search;
  if (search && !search->empty()) return search->front();
  return fail(Errc::InvalidSpec,
              "please provide a registry: there are no "
              "unqualified-search-registries in registries.conf");
}

namespace {

using registry::Credential;
using registry::Secret;

constexpr std::size_t kMaxPassword = 64u << 10;

bool on_terminal() { return ::isatty(STDIN_FILENO) != 0; }

void ask(const std::string& question) {
  (void)std::fputs(question.c_str(), stderr);
  (void)std::fflush(stderr);
}

/// A line typed by the user, whose letters may be seen.
Result<std::string> read_line() {
  std::string line;
  char c = 0;
  while (::read(STDIN_FILENO, &c, 1) == 1 && c != '\n' && line.size() < kMaxPassword) line += c;
  return line;
}

/// The password that a pipe holds, without the newline at its end.
Result<Secret> piped_password() {
  NX_TRY(std::string text, sys::read_all(STDIN_FILENO, kMaxPassword), "read the password");
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  return Secret(std::move(text));
}

class Login : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS] [REGISTRY[/REPOSITORY]]", R"(
Asks for a user name and a password, has the registry check them, and keeps them
where Podman and Docker look for them: with the credential helper that
registries.conf or the file names, else in the file. Without REGISTRY the first
of unqualified-search-registries is meant.
)",
            R"(
  nexcage login registry.example.com
  nexcage login -u ci --password-stdin registry.example.com/team <token
  nexcage login --get-login registry.example.com
)"};
  }

  void declare(Options& options) override {
    options.text("-u,--username", "USER", username_, "user name; else it is asked for")
        .flag("--password-stdin", password_stdin_, "read the password from standard input")
        .flag("--get-login", get_login_, "print the user name that is logged in, and nothing else")
        .text("--authfile", "FILE", auth_file_, "file that keeps the credentials")
        .text("--cert-dir", "DIR", cert_dir_, "certificates instead of those of certs.d")
        .flag("--tls-verify", tls_verify_,
              "verify the registry's certificate; =false: do without, and without TLS");
  }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 0, 1, "a registry"));
    if (password_stdin_ && username_.empty())
      return fail(Errc::InvalidSpec, "--password-stdin needs --username");
    choices_.tls_verify = tls_verify_;
    NX_TRY(choices_.auth_file, absolute_path(auth_file_));
    NX_TRY(choices_.cert_dir, absolute_path(cert_dir_));
    NX_TRY(files_, registry::read_files(environment_, choices_));
    NX_TRY(key_, login_key(files_, words));
    if (get_login_) return print_login();
    NX_TRY(const runtime::Settings settings, context.settings());
    libexec_ = settings.libexec;
    NX_TRY(const bool done, keep_old_login());
    if (done) return 0;
    NX_TRY(const Credential credential, wanted_credential());
    NX_CHECK(check(credential));
    NX_CHECK(registry::store_login(environment_, choices_, files_, key_, credential.username,
                                   credential.secret));
    print("Login Succeeded!\n");
    return 0;
  }

 private:
  Result<int> print_login() const {
    NX_TRY(const Credential credential, registry::current_login(files_, key_));
    if (credential.username.empty()) return fail(Errc::RegistryError, "not logged into " + key_);
    print(credential.username + "\n");
    return 0;
  }

  /// Without a user name: what is there already may still be good.
  Result<bool> keep_old_login() {
    if (!username_.empty()) return false;
    NX_TRY(const Credential credential, registry::current_login(files_, key_));
    if (credential.kind == Credential::Kind::none) return false;
    if (auto good = check(credential); !good) {
      if (good.error().code() != Errc::PermissionDenied) return fail(std::move(good).error());
      ask("Existing credentials are invalid, please enter valid username and password\n");
      old_username_ = credential.username;
      return false;
    }
    print("Existing credentials are valid. Already logged in to " + key_ + "\n");
    return true;
  }

  Result<Credential> wanted_credential() {
    Credential out;
    out.kind = Credential::Kind::password;
    out.username = username_;
    if (!password_stdin_ && !on_terminal())
      return fail(Error(Errc::InvalidSpec, "standard input is no terminal to ask at")
                      .hint("Use --username and --password-stdin."));
    if (out.username.empty()) {
      ask(old_username_.empty() ? "Username: " : "Username (" + old_username_ + "): ");
      NX_TRY(out.username, read_line());
      if (out.username.empty()) out.username = old_username_;
    }
    if (out.username.empty()) return fail(Errc::InvalidSpec, "a user name is needed");
    if (password_stdin_) {
      NX_TRY(out.secret, piped_password());
    } else {
      NX_TRY(std::string typed, sys::read_hidden_line(STDIN_FILENO, STDERR_FILENO, "Password: "));
      out.secret = Secret(std::move(typed));
    }
    if (out.secret.empty()) return fail(Errc::InvalidSpec, "a password is needed");
    return out;
  }

  /// Shows it to the registry; an insecure one is tried with TLS, then without.
  Result<> check(const Credential& credential) const {
    NX_TRY(const auto planned, registry::plan_login(files_, key_, choices_));
    json::Array endpoints;
    for (const registry::PlannedEndpoint& one : planned) {
      registry::Endpoint endpoint = one.endpoint;
      endpoint.credential = credential;
      endpoints.push_back(registry::to_json(endpoint));
    }
    json::Object request;
    request.set("endpoints", std::move(endpoints));
    NX_CHECK(image::call_helper(libexec_, "login", std::move(request)));
    return {};
  }

  std::string username_, auth_file_, cert_dir_, key_, libexec_, old_username_;
  bool password_stdin_ = false, get_login_ = false;
  std::optional<bool> tls_verify_;
  registry::Environment environment_ = registry::Environment::current();
  registry::Choices choices_;
  registry::Files files_;
};

}  // namespace

std::unique_ptr<Verb> make_login() { return std::make_unique<Login>(); }

}  // namespace nexcage::cli
