#include "nexcage/registry/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "nexcage/sys/fs.h"
#include "result_matchers.h"
#include "scratch.h"

namespace nexcage::registry {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// A machine with nothing but what a test writes.
class FilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    scratch_ = std::make_unique<sys::TempDir>(sys::TempDir::create(scratch_parent(), "f").value());
    const std::string top = scratch_->path();
    environment_.home = top + "/home";
    environment_.etc = top + "/etc";
    environment_.run = top + "/run";
    environment_.var_cache = top + "/cache";
    environment_.uid = 0;
  }
  std::string write(const std::string& name, std::string_view text) const {
    const std::string path = scratch_->path() + "/" + name;
    EXPECT_OK(sys::mkdirs(path.substr(0, path.rfind('/')), 0755));
    EXPECT_OK(sys::write_file_atomic(path, text, 0644, sys::Durable::no));
    return path;
  }
  Result<Files> read() const { return read_files(environment_, choices_); }
  std::vector<std::string> search() const {
    return read().value().registries.search.value_or(std::vector<std::string>());
  }
  std::vector<std::string> auth_paths() const {
    std::vector<std::string> out;
    const Files files = read().value();
    out.reserve(files.auth.size());
    for (const AuthFile& file : files.auth)
      out.push_back(file.path.substr(scratch_->path().size()));
    return out;
  }

  std::unique_ptr<sys::TempDir> scratch_;
  Environment environment_;
  Choices choices_;
};

std::string searching(const std::string& host) {
  return "unqualified-search-registries=['" + host + "']\n";
}

TEST_F(FilesTest, a_bare_machine_has_none_of_them) {
  const auto files = read();
  ASSERT_OK(files);
  EXPECT_EQ(files->registries_path, "");
  EXPECT_TRUE(files->auth.empty());
  EXPECT_EQ(files->policy.path, "");
  EXPECT_TRUE(files->certs.empty());
}

TEST_F(FilesTest, drop_in_files_follow_in_the_order_of_their_names) {
  const std::string main = write("etc/containers/registries.conf", searching("main.x"));
  EXPECT_THAT(search(), ElementsAre("main.x"));
  write("etc/containers/registries.conf.d/20.conf", searching("twenty.x"));
  write("etc/containers/registries.conf.d/10.conf", searching("ten.x"));
  write("etc/containers/registries.conf.d/30.txt", "nonsense");
  EXPECT_THAT(search(), ElementsAre("twenty.x"));
  EXPECT_EQ(read()->registries_path, main);
  write("home/.config/containers/registries.conf.d/01.conf", searching("user.x"));
  EXPECT_THAT(search(), ElementsAre("user.x"));
}

TEST_F(FilesTest, the_users_file_takes_the_place_of_the_machines) {
  write("etc/containers/registries.conf", searching("main.x"));
  write("etc/containers/registries.conf.d/10.conf", searching("ten.x"));
  write("home/.config/containers/registries.conf", "");
  EXPECT_THAT(search(), ElementsAre());
  write("home/.config/containers/registries.conf.d/01.conf", searching("user.x"));
  EXPECT_THAT(search(), ElementsAre("user.x"));
}

TEST_F(FilesTest, the_environment_names_another_main_file) {
  write("etc/containers/registries.conf", searching("main.x"));
  environment_.registries_conf = write("other.conf", searching("other.x"));
  EXPECT_THAT(search(), ElementsAre("other.x"));
  write("etc/containers/registries.conf.d/10.conf", searching("ten.x"));
  EXPECT_THAT(search(), ElementsAre("ten.x"));
  environment_.registries_conf = "/missing/r.conf";
  EXPECT_ERROR(read(), Errc::ConfigError, HasSubstr("/missing/r.conf"));
}

TEST_F(FilesTest, recorded_aliases_beat_written_ones) {
  write("etc/containers/registries.conf", "[aliases]\na='one.x/a'\nb='one.x/b'\n");
  write("cache/containers/short-name-aliases.conf", "[aliases]\na='two.x/a'\n");
  const auto files = read();
  ASSERT_OK(files);
  EXPECT_EQ(files->registries.aliases.at("a").name, "two.x/a");
  EXPECT_EQ(files->registries.aliases.at("b").name, "one.x/b");
  environment_.uid = 1000;
  EXPECT_EQ(read()->registries.aliases.at("a").name, "one.x/a");
}

TEST_F(FilesTest, auth_files_are_asked_in_podmans_order) {
  for (const char* name : {"run/containers/0/auth.json", "home/.config/containers/auth.json",
                           "home/.docker/config.json", "home/.dockercfg"})
    write(name, "{}");
  EXPECT_THAT(auth_paths(),
              ElementsAre("/run/containers/0/auth.json", "/home/.config/containers/auth.json",
                          "/home/.docker/config.json", "/home/.dockercfg"));
  write("x/containers/auth.json", "{}");
  write("d/config.json", "{}");
  environment_.runtime_dir = environment_.config_home = scratch_->path() + "/x";
  environment_.docker_config = scratch_->path() + "/d";
  EXPECT_THAT(auth_paths(), ElementsAre("/x/containers/auth.json", "/x/containers/auth.json",
                                        "/d/config.json", "/home/.dockercfg"));
  environment_.auth_file = write("only.json", "{}");
  EXPECT_THAT(auth_paths(), ElementsAre("/only.json"));
  choices_.auth_file = write("chosen.json", "{}");
  EXPECT_THAT(auth_paths(), ElementsAre("/chosen.json"));
}

TEST_F(FilesTest, logins_are_written_where_podman_writes_them) {
  EXPECT_EQ(login_file(environment_, choices_).value(),
            environment_.run + "/containers/0/auth.json");
  environment_.runtime_dir = "/missing/dir";
  EXPECT_ERROR(login_file(environment_, choices_), Errc::ConfigError, HasSubstr("/missing/dir"));
  EXPECT_OK(read());  // the image may be public
  environment_.runtime_dir = scratch_->path();
  EXPECT_EQ(login_file(environment_, choices_).value(), scratch_->path() + "/containers/auth.json");
  environment_.auth_file = "/a";
  EXPECT_EQ(login_file(environment_, choices_).value(), "/a");
  choices_.auth_file = "/b";
  EXPECT_EQ(login_file(environment_, choices_).value(), "/b");
}

TEST_F(FilesTest, the_users_policy_comes_first) {
  const std::string accept = R"({"default": [{"type": "insecureAcceptAnything"}]})";
  const std::string machine = write("etc/containers/policy.json", accept);
  EXPECT_EQ(read()->policy.path, machine);
  const std::string user = write("home/.config/containers/policy.json", accept);
  EXPECT_EQ(read()->policy.path, user);
  write("home/.config/containers/policy.json", "{}");
  EXPECT_ERROR(read(), Errc::ConfigError, HasSubstr(user));
}

TEST_F(FilesTest, certificates_of_a_host_are_those_of_the_user_first) {
  write("home/.config/containers/certs.d/h.x/a.crt", "");
  write("etc/containers/certs.d/h.x/b.crt", "");
  write("etc/docker/certs.d/i.x:5000/c.crt", "");
  const Files files = read().value();
  EXPECT_THAT(find_tls(files.certs, "h.x")->ca_files,
              ElementsAre(environment_.home + "/.config/containers/certs.d/h.x/a.crt"));
  EXPECT_THAT(find_tls(files.certs, "i.x:5000")->ca_files,
              ElementsAre(environment_.etc + "/docker/certs.d/i.x:5000/c.crt"));
  choices_.cert_dir = environment_.etc + "/containers/certs.d/h.x";
  EXPECT_THAT(find_tls(read()->certs, "any.x")->ca_files,
              ElementsAre(environment_.etc + "/containers/certs.d/h.x/b.crt"));
  choices_.cert_dir = "/missing/certs";
  EXPECT_ERROR(read(), Errc::FileError, HasSubstr("/missing/certs"));
}

TEST_F(FilesTest, registries_d_is_read_as_text) {
  write("etc/containers/registries.d/b.yaml", "b");
  write("etc/containers/registries.d/a.yaml", "a");
  write("etc/containers/registries.d/c.yml", "c");
  const Files files = read().value();
  ASSERT_EQ(files.registries_d.size(), 2U);
  EXPECT_EQ(files.registries_d[0].text, "a");
}

}  // namespace
}  // namespace nexcage::registry
