#include "nexcage/vm/host/accelerator.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nexcage/json/value.h"
#include "nexcage/sys/fs.h"
#include "result_matchers.h"
#include "scratch.h"

namespace nexcage::vm::host {
namespace {

using qemu::Accelerator;

constexpr const char* kSilent = "#!/bin/sh\nexec sleep 60\n";
constexpr const char* kEnds = "#!/bin/sh\necho no such machine >&2\nexit 1\n";
constexpr const char* kSpeaks = "#!/bin/bash\nprintf x >&10\nexec sleep 60\n";

/// A host with a KVM of which a script in QEMU's place decides what comes of it.
class ChoosingAccelerator : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "a machine becomes another user";
    directory_ = scratch_parent() + "/accelerator-XXXXXX";
    ASSERT_NE(::mkdtemp(directory_.data()), nullptr);
    ASSERT_EQ(::chmod(directory_.c_str(), 0755), 0);  // the script is run by nobody
    for (const char* name : {"kernel", "initrd", "init"}) write(name, name);
    job_.wanted = "auto";
    job_.init = directory_ + "/init";
    job_.initrd = directory_ + "/initrd";
    job_.remembered = directory_ + "/@vm";
    job_.launch.qemu = directory_ + "/qemu";
    job_.launch.machine.kernel = directory_ + "/kernel";
    job_.device = "/dev/null";
    job_.patience = std::chrono::seconds(1);
  }
  void TearDown() override {
    if (!directory_.empty()) (void)sys::remove_tree(directory_);
  }
  void write(const std::string& name, std::string_view text) const {
    const std::string path = directory_ + "/" + name;
    ASSERT_OK(sys::write_file_atomic(path, text, 0755, sys::Durable::no));
  }
  std::string file() const { return job_.remembered + "/accelerator.json"; }
  json::Value kept() const {
    const auto text = sys::read_file(AT_FDCWD, file());
    auto value = text ? json::parse(*text) : Result<json::Value>(json::Value());
    return value ? *std::move(value) : json::Value();
  }
  /// The answer that is kept under the only key.
  std::string answer() const {
    const json::Value value = kept();
    const json::Value* answers = value.find("answers");
    if (answers == nullptr || answers->if_object() == nullptr || answers->if_object()->size() != 1)
      return "not one answer";
    return answers->if_object()->begin()->second.text();
  }
  /// Other words for the same key.
  void seed(std::string_view boot, std::string_view accelerator) const {
    const json::Value before = kept();
    ASSERT_NE(before.find("answers"), nullptr);
    json::Object answers;
    answers.set(before.find("answers")->if_object()->begin()->first, accelerator);
    json::Object out;
    out.set("boot", boot);
    out.set("answers", json::Value(std::move(answers)));
    ASSERT_OK(sys::write_file_atomic(file(), json::dump(json::Value(std::move(out))), 0600,
                                     sys::Durable::no));
  }
  std::string directory_;
  AcceleratorJob job_;
};

MATCHER_P(chooses, accelerator, "") { return arg && *arg == accelerator; }

TEST_F(ChoosingAccelerator, AMachineThatEndsHasNotSpoken) {
  write("qemu", kEnds);
  ::testing::internal::CaptureStderr();
  EXPECT_THAT(choose_accelerator(job_), chooses(Accelerator::tcg));
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(said, ::testing::HasSubstr("QEMU ended with status 1: no such machine"));
  EXPECT_EQ(answer(), "tcg");
}

TEST_F(ChoosingAccelerator, AMachineThatSpeaksIsRemembered) {
  write("qemu", kSpeaks);
  EXPECT_THAT(choose_accelerator(job_), chooses(Accelerator::kvm));
  EXPECT_EQ(answer(), "kvm");
}

TEST_F(ChoosingAccelerator, SilenceIsNoAnswer) {
  write("qemu", kSilent);
  EXPECT_THAT(choose_accelerator(job_), chooses(Accelerator::tcg));
  EXPECT_TRUE(kept().is_null());
}

TEST_F(ChoosingAccelerator, WhatIsRememberedIsNotTriedAgain) {
  write("qemu", kEnds);
  ASSERT_THAT(choose_accelerator(job_), chooses(Accelerator::tcg));
  const std::string boot = kept().text("boot");
  ASSERT_FALSE(boot.empty());
  seed(boot, "kvm");
  EXPECT_THAT(choose_accelerator(job_), chooses(Accelerator::kvm));
}

TEST_F(ChoosingAccelerator, AnAnswerOfAnotherBootDoesNotCount) {
  write("qemu", kEnds);
  ASSERT_THAT(choose_accelerator(job_), chooses(Accelerator::tcg));
  seed("another", "kvm");
  EXPECT_THAT(choose_accelerator(job_), chooses(Accelerator::tcg));
  EXPECT_EQ(answer(), "tcg");
}

TEST_F(ChoosingAccelerator, EveryFileThatIsBootedCounts) {
  write("qemu", kEnds);
  ASSERT_THAT(choose_accelerator(job_), chooses(Accelerator::tcg));
  const std::string boot = kept().text("boot");
  for (const char* name : {"kernel", "initrd", "init", "qemu"}) {
    seed(boot, "kvm");
    ASSERT_THAT(choose_accelerator(job_), chooses(Accelerator::kvm)) << name;
    const bool program = std::string_view(name) == "qemu";
    write(name, program ? std::string(kEnds) + "# another\n" : std::string("another ") + name);
    EXPECT_THAT(choose_accelerator(job_), chooses(Accelerator::tcg)) << name;
    ASSERT_OK(sys::remove_tree(job_.remembered));
    ASSERT_THAT(choose_accelerator(job_), chooses(Accelerator::tcg)) << name;
  }
}

TEST_F(ChoosingAccelerator, WhereNothingCanBeKeptItIsChosenAllTheSame) {
  write("qemu", kEnds);
  write("file", "");
  job_.remembered = directory_ + "/file";
  EXPECT_THAT(choose_accelerator(job_), chooses(Accelerator::tcg));
}

TEST_F(ChoosingAccelerator, WithoutTheDeviceNothingIsTried) {
  job_.device = directory_ + "/no-such-device";
  EXPECT_THAT(choose_accelerator(job_), chooses(Accelerator::tcg));
  EXPECT_TRUE(kept().is_null());
}

}  // namespace
}  // namespace nexcage::vm::host
