#include "nexcage/backends/oci_runtime/binary.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "nexcage/backends/oci_runtime/features.h"
#include "nexcage/sys/fs.h"
#include "result_matchers.h"

namespace nexcage::backends::oci_runtime {
namespace {

using ::testing::HasSubstr;

TEST(ParseVersion, WhatTheProgramsSay) {
  EXPECT_EQ(parse_version("crun", "crun version 1.8.1\ncommit: f8\n"), (Version{1, 8, 1}));
  EXPECT_EQ(parse_version("runc", "runc version 1.1.5+ds1\n"), (Version{1, 1, 5}));
  EXPECT_EQ(parse_version("runc", "runc version 1.0.0-rc93\n"), (Version{1, 0, 0}));
  EXPECT_EQ(parse_version("crun", "crun version 1.14\n"), (Version{1, 14, 0}));
  EXPECT_EQ(parse_version("crun", "runc version 1.1.5\n"), std::nullopt);
  EXPECT_EQ(parse_version("crun", "crun version UNKNOWN\n"), std::nullopt);
}

/// A program that says a version and counts how often it is asked.
class CheckVersion : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = sys::TempDir::create(::testing::TempDir(), "binary");
    ASSERT_OK(made);
    dir_.emplace(*std::move(made));
  }
  std::string says(const std::string& line) {
    const std::string program = dir_->path() + "/crun";
    write(program, "#!/bin/sh\necho asked >> " + dir_->path() + "/asked\necho '" + line + "'\n");
    return program;
  }
  void write(const std::string& file, const std::string& text) {
    ASSERT_OK(sys::write_file_atomic(file, text, 0755, sys::Durable::no));
  }
  std::string cache() const { return dir_->path() + "/version"; }
  std::string asked() const {
    auto text = sys::read_file(AT_FDCWD, dir_->path() + "/asked");
    return text ? *text : "";
  }
  std::optional<sys::TempDir> dir_;
};

TEST_F(CheckVersion, AsksOnceForEachFile) {
  const std::string program = says("crun version 1.8.1");
  ASSERT_OK(check_version(kCrun, program, cache()));
  ASSERT_OK(check_version(kCrun, program, cache()));
  EXPECT_EQ(asked(), "asked\n");
  says("crun version 1.9");
  ASSERT_OK(check_version(kCrun, program, cache()));
  EXPECT_EQ(asked(), "asked\nasked\n");
}

TEST_F(CheckVersion, RefusesOldOnesEachTime) {
  const std::string program = says("crun version 0.17");
  for (int i = 0; i < 2; ++i)
    EXPECT_ERROR(check_version(kCrun, program, cache()), Errc::RuntimeNotAvailable,
                 HasSubstr("version 0.17.0, but 1.0.0 or newer"));
}

TEST_F(CheckVersion, RefusesAnotherProgram) {
  EXPECT_ERROR(check_version(kCrun, says("hello"), cache()), Errc::RuntimeNotAvailable,
               HasSubstr("does not say"));
}

TEST(FindBinary, NamesThePackage) {
  auto found = find_binary(kRunc, "no-such-runc");
  EXPECT_ERROR(found, Errc::RuntimeNotAvailable, HasSubstr("no-such-runc"));
  EXPECT_THAT(found.error().hint(), HasSubstr("install the package runc"));
}

TEST(ParseFeatures, TakesWhatWeShow) {
  const Features features = parse_features(
      R"({"hooks":["prestart"],"mountOptions":["ro"],"linux":{"namespaces":["pid"],
          "capabilities":["CAP_KILL"],"seccomp":{"actions":["SCMP_ACT_ALLOW"],"archs":["SCMP_ARCH_ARM"]},
          "cgroup":{"v1":true,"systemd":true,"systemdUser":false}}})");
  EXPECT_TRUE(features.systemd_cgroup);
  EXPECT_FALSE(features.systemd_user_cgroup);
  EXPECT_EQ(features.hooks, std::vector<std::string>{"prestart"});
  EXPECT_EQ(features.mount_options, std::vector<std::string>{"ro"});
  EXPECT_EQ(features.namespaces, std::vector<std::string>{"pid"});
  EXPECT_EQ(features.capabilities, std::vector<std::string>{"CAP_KILL"});
  EXPECT_EQ(features.seccomp_actions, std::vector<std::string>{"SCMP_ACT_ALLOW"});
  EXPECT_EQ(features.seccomp_archs, std::vector<std::string>{"SCMP_ARCH_ARM"});
  EXPECT_TRUE(parse_features("no JSON").hooks.empty());
  EXPECT_FALSE(parse_features(R"({"linux":{"cgroup":{"systemd":"yes"}}})").systemd_cgroup);
}

TEST(ParseFeatures, ACrunWithoutThemSaysWhatItWasBuiltWith) {
  EXPECT_TRUE(built_with_systemd("crun version 1.8.1\nspec: 1.0.0\n+SYSTEMD +SELINUX +YAJL\n"));
  EXPECT_FALSE(built_with_systemd("crun version 1.8.1\nspec: 1.0.0\n+CAP +YAJL\n"));
}

}  // namespace
}  // namespace nexcage::backends::oci_runtime
