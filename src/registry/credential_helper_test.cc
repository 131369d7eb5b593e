#include "nexcage/registry/credential_helper.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "nexcage/sys/fs.h"
#include "result_matchers.h"
#include "scratch.h"

namespace nexcage::registry {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class CredentialHelper : public ::testing::Test {
 protected:
  void SetUp() override {
    scratch_ = std::make_unique<sys::TempDir>(sys::TempDir::create(scratch_parent(), "h").value());
    ::setenv("PATH", (scratch_->path() + ":" + path_).c_str(), 1);
  }
  void TearDown() override { ::setenv("PATH", path_.c_str(), 1); }

  /// A helper of this name, as a shell script; $1 is the operation.
  void script(const std::string& name, const std::string& text) const {
    ASSERT_OK(sys::write_file_atomic(scratch_->fd(), "docker-credential-" + name,
                                     "#!/bin/sh\n" + text, 0755, sys::Durable::no));
  }

  std::string path_ = std::getenv("PATH");
  std::unique_ptr<sys::TempDir> scratch_;
};

constexpr const char* kFileHelper = R"sh(
cd "$(dirname "$0")" || exit 2
[ $# = 1 ] || exit 2
none() { echo 'credentials not found in native keychain'; exit 1; }
case $1 in
store) cat >kept ;;
get) [ "$(cat)" = h.x ] && cat kept 2>/dev/null || none ;;
erase) rm kept 2>/dev/null || none ;;
list) echo '{"h.x": "u", "z.x": "v"}' ;;
esac
)sh";

TEST_F(CredentialHelper, keeps_gives_lists_and_forgets) {
  script("file", kFileHelper);
  EXPECT_FALSE(get_credential("file", "h.x").value().has_value());
  ASSERT_OK(store_credential("file", "h.x", "u", Secret("p \"$w'")));
  const Credential expected{Credential::Kind::password, "u", Secret("p \"$w'")};
  EXPECT_TRUE(get_credential("file", "h.x").value() == expected);
  EXPECT_FALSE(get_credential("file", "other.x").value().has_value());
  EXPECT_THAT(list_credentials("file").value(), ElementsAre("h.x", "z.x"));
  EXPECT_TRUE(erase_credential("file", "h.x").value());
  EXPECT_FALSE(erase_credential("file", "h.x").value());
}

TEST_F(CredentialHelper, a_token_is_no_password) {
  script("t", R"(echo '{"ServerURL": "h.x", "Username": "<token>", "Secret": "T"}')");
  const auto found = get_credential("t", "h.x");
  ASSERT_OK(found);
  EXPECT_EQ((*found)->kind, Credential::Kind::identity_token);
  EXPECT_EQ((*found)->secret.reveal(), "T");
}

TEST_F(CredentialHelper, failures_name_the_program_and_never_what_it_answered) {
  EXPECT_ERROR(get_credential("missing", "h.x"), Errc::RuntimeNotAvailable,
               HasSubstr("docker-credential-missing"));
  script("broken", "echo 'cannot reach the key ring'; exit 1\n");
  EXPECT_ERROR(get_credential("broken", "h.x"), Errc::RegistryError,
               HasSubstr("docker-credential-broken get: \"cannot reach the key ring\""));
  script("silent", "exit 3\n");
  EXPECT_ERROR(get_credential("silent", "h.x"), Errc::RegistryError, HasSubstr("exit status 3"));
  for (const char* text : {"sesame", "{\"Username\": \"sesame\"}", "[\"sesame\"]",
                           "{\"Username\": \"u\", \"Secret\": 5}"}) {
    script("bad", std::string("cat <<'X'\n") + text + "\nX\n");
    EXPECT_ERROR(get_credential("bad", "h.x"), Errc::RegistryError,
                 AllOf(HasSubstr("docker-credential-bad"), Not(HasSubstr("sesame"))));
  }
  script("long", "head -c 2000000 /dev/zero\n");
  EXPECT_ERROR(get_credential("long", "h.x"), Errc::RegistryError, HasSubstr("more than 1 MiB"));
}

TEST_F(CredentialHelper, a_name_is_no_path) {
  for (const char* name : {"", "../x", "/bin/sh", "a\nb"})
    EXPECT_ERROR(get_credential(name, "h.x"), Errc::ConfigError, HasSubstr("expected the NAME"));
}

}  // namespace
}  // namespace nexcage::registry
