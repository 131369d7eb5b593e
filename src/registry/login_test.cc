#include "nexcage/registry/login.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>

#include "nexcage/sys/fs.h"
#include "result_matchers.h"
#include "scratch.h"

namespace nexcage::registry {
namespace {

using testing::HasSubstr;

// A credential helper that keeps one file for each server.
constexpr const char* kHelper = R"sh(#!/bin/sh
cd "$(dirname "$0")/kept" || exit 2
none() { echo 'credentials not found in native keychain'; exit 1; }
name() { printf %s "$1" | tr '/:' '__'; }
case $1 in
store) text=$(cat); server=${text#*ServerURL\":\"}; printf %s "$text" >"$(name "${server%%\"*}")" ;;
get) cat "$(name "$(cat)")" 2>/dev/null || none ;;
erase) rm "$(name "$(cat)")" 2>/dev/null || none ;;
list) printf '{'; sep=; for f in *; do [ -e "$f" ] && printf '%s"%s": "u"' "$sep" "$f" && sep=,; done; printf '}' ;;
esac
)sh";

class LoginTest : public ::testing::Test {
 protected:
  void SetUp() override {
    scratch_ = std::make_unique<sys::TempDir>(sys::TempDir::create(scratch_parent(), "l").value());
    environment_.home = scratch_->path() + "/home";
    environment_.etc = scratch_->path() + "/etc";
    environment_.run = scratch_->path() + "/run";
    environment_.var_cache = scratch_->path() + "/cache";
    file_ = environment_.run + "/containers/0/auth.json";
  }
  void TearDown() override { ::setenv("PATH", path_.c_str(), 1); }

  void write(const std::string& to, std::string_view text, mode_t mode = 0644) const {
    ASSERT_OK(sys::mkdirs(to.substr(0, to.rfind('/')), 0755));
    ASSERT_OK(sys::write_file_atomic(to, text, mode, sys::Durable::no));
  }
  void install_helper() const {
    write(scratch_->path() + "/bin/docker-credential-test", kHelper, 0755);
    ASSERT_OK(sys::mkdirs(scratch_->path() + "/bin/kept", 0755));
    ::setenv("PATH", (scratch_->path() + "/bin:" + path_).c_str(), 1);
  }
  Files files() const { return read_files(environment_, choices_).value(); }
  std::string store(const std::string& key) const {
    const auto place = store_login(environment_, choices_, files(), key, "u", Secret("p:w"));
    return place ? *place : place.error().message();
  }
  bool erase(const std::string& key) const {
    return erase_login(environment_, choices_, files(), key).value();
  }
  std::string user(const std::string& key) const {
    return current_login(files(), key).value().username;
  }
  json::Value document(const std::string& of) const {
    return json::parse(sys::read_file(AT_FDCWD, of).value()).value();
  }

  std::string path_ = std::getenv("PATH");
  std::unique_ptr<sys::TempDir> scratch_;
  Environment environment_;
  Choices choices_;
  std::string file_;
};

TEST_F(LoginTest, a_login_is_kept_in_a_private_file_and_found_again) {
  EXPECT_EQ(user("h.x"), "");
  EXPECT_EQ(store("h.x"), file_);
  struct stat info{};
  ASSERT_EQ(::stat(file_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600U);
  ASSERT_EQ(::stat(file_.substr(0, file_.rfind('/')).c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0700U);
  EXPECT_EQ(user("h.x"), "u");
  EXPECT_EQ(user("h.x/team"), "u");
  EXPECT_TRUE(erase("h.x"));
  EXPECT_FALSE(erase("h.x"));
  EXPECT_EQ(user("h.x"), "");
}

TEST_F(LoginTest, what_the_file_has_besides_stays) {
  write(file_, R"({"auths": {"z.x": {"auth": "YTpi", "email": "e"}}, "HttpHeaders": {"k": "v"}})");
  store("h.x/team");
  EXPECT_EQ(document(file_), json::parse(R"({"auths": {"z.x": {"auth": "YTpi", "email": "e"},
                                      "h.x/team": {"auth": "dTpwOnc="}},
                            "HttpHeaders": {"k": "v"}})")
                                 .value());
  EXPECT_EQ(user("h.x"), "");
  EXPECT_EQ(user("h.x/team/app"), "u");
  ASSERT_OK(erase_all_logins(environment_, choices_, files()));
  EXPECT_EQ(document(file_), json::parse(R"({"auths": {}, "HttpHeaders": {"k": "v"}})").value());
}

TEST_F(LoginTest, a_linked_file_stays_a_link) {
  const std::string real = scratch_->path() + "/dotfiles/auth.json";
  write(real, "{}");
  choices_.auth_file = scratch_->path() + "/auth.json";
  ASSERT_EQ(::symlink(real.c_str(), choices_.auth_file.c_str()), 0);
  EXPECT_EQ(store("h.x"), choices_.auth_file);
  EXPECT_TRUE(sys::read_link(AT_FDCWD, choices_.auth_file).has_value());
  EXPECT_NE(document(real).find("auths")->find("h.x"), nullptr);
}

TEST_F(LoginTest, a_broken_file_is_not_written_over) {
  EXPECT_EQ(store("h.x"), file_);
  const Files before = files();
  write(file_, "{broken");
  EXPECT_ERROR(store_login(environment_, choices_, before, "h.x", "u", Secret("p")),
               Errc::ConfigError, HasSubstr(file_));
  EXPECT_EQ(sys::read_file(AT_FDCWD, file_).value(), "{broken");
}

TEST_F(LoginTest, a_colon_ends_no_user_name) {
  EXPECT_ERROR(store_login(environment_, choices_, files(), "h.x", "a:b", Secret("p")),
               Errc::InvalidSpec, HasSubstr("colon"));
}

TEST_F(LoginTest, the_helper_that_the_file_names_keeps_it) {
  install_helper();
  write(file_, R"({"credHelpers": {"h.x": "test"}})");
  EXPECT_EQ(store("h.x"), "credential helper: test");
  EXPECT_EQ(document(file_).find("auths"), nullptr);
  EXPECT_EQ(user("h.x"), "u");
  EXPECT_THAT(store("h.x/team"), HasSubstr("keeps whole registries"));
  EXPECT_EQ(store("z.x"), file_);
  EXPECT_TRUE(erase("h.x"));
  EXPECT_FALSE(erase("h.x"));
}

TEST_F(LoginTest, a_store_for_all_gets_dockers_mark) {
  install_helper();
  write(file_, R"({"credsStore": "test"})");
  EXPECT_EQ(store("docker.io"), "credential helper: test");
  EXPECT_EQ(json::dump(document(file_)),
            R"({"credsStore":"test","auths":{"https://index.docker.io/v1/":{}}})");
  EXPECT_EQ(user("docker.io"), "u");
  EXPECT_TRUE(erase("docker.io"));
  EXPECT_EQ(json::dump(document(file_)), R"({"credsStore":"test","auths":{}})");
}

TEST_F(LoginTest, credential_helpers_of_registries_conf) {
  install_helper();
  write(environment_.etc + "/containers/registries.conf", "credential-helpers=['test']\n");
  EXPECT_EQ(store("h.x"), "credential helper: test");
  EXPECT_FALSE(sys::exists(AT_FDCWD, file_).value());
  EXPECT_EQ(user("h.x"), "u");
  ASSERT_OK(erase_all_logins(environment_, choices_, files()));
  EXPECT_EQ(user("h.x"), "");
}

}  // namespace
}  // namespace nexcage::registry
