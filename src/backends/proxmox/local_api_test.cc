// The API through a pvesh of our own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <optional>

#include "nexcage/backends/proxmox/api.h"
#include "nexcage/sys/fs.h"
#include "result_matchers.h"

namespace nexcage::backends::proxmox {
namespace {

using ::testing::HasSubstr;

class LocalApi : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = std::getenv("PATH");
    auto made = sys::TempDir::create("/tmp", "nx-pvesh");
    ASSERT_OK(made);
    scratch_.emplace(std::move(*made));
    ::setenv("PATH", (scratch_->path() + ":" + path_).c_str(), 1);
    ::setenv("LC_MESSAGES", "de_DE", 1);
  }
  void TearDown() override {
    ::setenv("PATH", path_.c_str(), 1);
    ::unsetenv("LC_MESSAGES");
  }
  void pvesh(const std::string& script) {
    const std::string file = scratch_->path() + "/pvesh";
    ASSERT_OK(sys::write_file_atomic(file, "#!/bin/sh\n" + script, 0755, sys::Durable::no));
    ASSERT_EQ(::chmod(file.c_str(), 0755), 0);
  }
  std::string path_;
  std::optional<sys::TempDir> scratch_;
};

TEST_F(LocalApi, SpeaksEnglishAndPassesWords) {
  pvesh("echo \"[\\\"$*\\\", \\\"$LC_ALL$LC_MESSAGES\\\"]\"\n");
  const auto answer = local_api("n1")->call("PUT", "/nodes/n1/lxc/100/config", {{"memory", "64"}});
  ASSERT_OK(answer);
  EXPECT_EQ(json::dump(*answer),
            "[\"set /nodes/n1/lxc/100/config --memory 64 --output-format json\",\"C\"]");
}

TEST_F(LocalApi, FollowsATask) {
  pvesh(
      "case $1 in\n"
      "create) echo 'a line of the log'; echo UPID:n1:00000110:00033077:6B01F679:vzstart:100:"
      "root@pam:;;\n"
      "*) echo '{\"status\": \"stopped\", \"exitstatus\": \"it broke\"}';;\nesac\n");
  EXPECT_ERROR(local_api("n1")->run("POST", "/nodes/n1/lxc/100/status/start", {}),
               Errc::ProxmoxError, HasSubstr("it broke"));
}

TEST_F(LocalApi, RefusesWhatItCannotDo) {
  pvesh("exit 9\n");
  const auto api = local_api("n1");
  EXPECT_EQ(api->node(), "n1");
  EXPECT_ERROR(api->call("POST", "/nodes/n1/lxc", {{"env", std::string("A=1\0B=2", 7)}}),
               Errc::Unsupported, HasSubstr("cannot take env"));
  EXPECT_ERROR(api->upload("n1", "local", {.path = "/x", .name = "y", .content = {}, .sha256 = {}}),
               Errc::Unsupported, HasSubstr("upload of y"));
}

}  // namespace
}  // namespace nexcage::backends::proxmox
