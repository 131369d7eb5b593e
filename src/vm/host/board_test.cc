#include "nexcage/vm/host/board.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nexcage/sys/fs.h"
#include "result_matchers.h"
#include "scratch.h"

namespace nexcage::vm::host {
namespace {

using qemu::Board;

/// A script in QEMU's place that has a list of machines, and counts how often it is asked.
class ChoosingBoard : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = scratch_parent() + "/board-XXXXXX";
    ASSERT_NE(::mkdtemp(directory_.data()), nullptr);
    job_.qemu = directory_ + "/qemu";
    job_.remembered = directory_ + "/@vm";
  }
  void TearDown() override { (void)sys::remove_tree(directory_); }
  void has(const std::string& machines, int status = 0) const {
    const std::string script = "#!/bin/sh\necho \"$*\" >>" + directory_ +
                               "/asked\necho Supported machines are:\necho '" + machines +
                               "'\nexit " + std::to_string(status) + "\n";
    ASSERT_OK(sys::write_file_atomic(job_.qemu, script, 0755, sys::Durable::no));
  }
  std::string asked() const {
    return sys::read_file(AT_FDCWD, directory_ + "/asked").value_or(std::string());
  }
  std::string directory_;
  BoardJob job_;
};

TEST_F(ChoosingBoard, TheSmallOneWhereQemuHasIt) {
  has("microvm              microvm (i386)\nq35   Standard PC");
  EXPECT_EQ(choose_board(job_), Board::microvm);
  EXPECT_EQ(choose_board(job_), Board::microvm);
  EXPECT_EQ(asked(), "-machine help\n") << "asked once";
}

TEST_F(ChoosingBoard, TheLargeOneWhereQemuHasNoOther) {
  has("q35   Standard PC, no microvm \nmicrovm-like   another");
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(choose_board(job_), Board::q35);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), ::testing::HasSubstr("has no microvm"));
  EXPECT_EQ(choose_board(job_), Board::q35);
  EXPECT_EQ(asked(), "-machine help\n") << "asked once";
}

TEST_F(ChoosingBoard, AnotherQemuIsAskedAgain) {
  has("q35   Standard PC");
  ASSERT_EQ(choose_board(job_), Board::q35);
  has("microvm   microvm (i386)");
  EXPECT_EQ(choose_board(job_), Board::microvm);
}

TEST_F(ChoosingBoard, TheLargeOneIsNotAskedFor) {
  has("");
  job_.wanted = Board::q35;
  EXPECT_EQ(choose_board(job_), Board::q35);
  EXPECT_EQ(asked(), "");
}

TEST_F(ChoosingBoard, WithoutAListItIsWhatIsWanted) {
  has("q35   Standard PC", 1);
  EXPECT_EQ(choose_board(job_), Board::microvm);
  EXPECT_EQ(choose_board(job_), Board::microvm);
  EXPECT_EQ(asked(), "-machine help\n-machine help\n") << "nothing was found out";
}

TEST_F(ChoosingBoard, WhereNothingCanBeKeptItIsChosenAllTheSame) {
  has("q35   Standard PC");
  job_.remembered = job_.qemu;
  EXPECT_EQ(choose_board(job_), Board::q35);
}

}  // namespace
}  // namespace nexcage::vm::host
