// nexcage logout: forgets credentials.
#include "nexcage/cli/logins.h"
#include "nexcage/cli/output.h"
#include "nexcage/cli/verb.h"
#include "nexcage/registry/login.h"

namespace nexcage::cli {
namespace {

class Logout : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS] [REGISTRY[/REPOSITORY]]", R"(
Forgets the credentials that login keeps: in the file and with the credential
helpers that it names. Other files that are read too, such as Docker's, stay as
they are.
)",
            R"(
  nexcage logout registry.example.com
  nexcage logout --all
)"};
  }

  void declare(Options& options) override {
    options.flag("-a,--all", all_, "forget all credentials of the file and its helpers")
        .text("--authfile", "FILE", auth_file_, "file that keeps the credentials");
  }

  Result<int> run(Context& /*context*/, std::vector<std::string> words) override {
    NX_CHECK(
        expect_words(words, 0, all_ ? 0 : 1, all_ ? "no registry beside --all" : "a registry"));
    const registry::Environment environment = registry::Environment::current();
    registry::Choices choices;
    NX_TRY(choices.auth_file, absolute_path(auth_file_));
    NX_TRY(const registry::Files files, registry::read_files(environment, choices));
    if (all_) {
      NX_CHECK(registry::erase_all_logins(environment, choices, files));
      print("Removed login credentials for all registries\n");
      return 0;
    }
    NX_TRY(const std::string key, login_key(files, words));
    NX_TRY(const bool erased, registry::erase_login(environment, choices, files, key));
    if (!erased) return fail(not_logged_in(files, key));
    print("Removed login credentials for " + key + "\n");
    return 0;
  }

 private:
  /// A credential of a file that is not ours to write may still be there.
  static Error not_logged_in(const registry::Files& files, const std::string& key) {
    Error error(Errc::RegistryError, "not logged into " + key);
    const auto left = registry::current_login(files, key);
    if (left && left->kind != registry::Credential::Kind::none)
      return std::move(error).hint(
          "Credentials of another tool are in use; log out there, or name its file with "
          "--authfile.");
    return error;
  }

  bool all_ = false;
  std::string auth_file_;
};

}  // namespace

std::unique_ptr<Verb> make_logout() { return std::make_unique<Logout>(); }

}  // namespace nexcage::cli
