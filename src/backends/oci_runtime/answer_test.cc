#include "nexcage/backends/oci_runtime/answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

namespace nexcage::backends::oci_runtime {
namespace {

constexpr int kExitOne = 1 << 8;

TEST(ParseLog, RecordsOfBothRuntimes) {
  const auto said =
      parse_log(R"({"msg":"open executable: Permission denied","level":"error","time":"t"})"
                "\n"
                R"({"level":"warning","msg":"w","time":"t"})"
                "\n\nno record\n");
  EXPECT_EQ(said, (std::vector<Said>{{log::Level::error, "open executable: Permission denied"},
                                     {log::Level::warning, "w"},
                                     {log::Level::error, "no record"}}));
}

TEST(ErrorOf, TheLastErrorInItsOwnWords) {
  const Error error = error_of("crun", "create",
                               {{log::Level::error, "first"},
                                {log::Level::error, "open executable: Permission denied"},
                                {log::Level::debug, "later"}},
                               kExitOne);
  EXPECT_EQ(error.code(), Errc::RuntimeError);
  EXPECT_EQ(error.message(), "crun create: open executable: Permission denied");
}

TEST(ErrorOf, RuncNamesItselfOnce) {
  const Error error =
      error_of("runc", "create", {{log::Level::error, "runc create failed: x"}}, kExitOne);
  EXPECT_EQ(error.message(), "runc create failed: x");
}

TEST(ErrorOf, CodesWhereTheWordsMeanOne) {
  const auto code = [](const char* text) {
    return error_of("x", "create", {{log::Level::error, text}}, kExitOne).code();
  };
  EXPECT_EQ(code("container with given ID already exists"), Errc::ContainerExists);
  EXPECT_EQ(code("container `c1` already exists"), Errc::ContainerExists);
  EXPECT_EQ(code("mkdir `/x`: File already exists"), Errc::RuntimeError);
  EXPECT_EQ(code("runc create failed: unable to start container process: error during container "
                 "init: error running hook #0: exit status 1"),
            Errc::HookError);
  EXPECT_EQ(code("error executing hook `/bin/false` (exit code: 1)"), Errc::HookError);
}

TEST(ErrorOf, SilenceAndSignals) {
  EXPECT_EQ(error_of("crun", "start", {}, kExitOne).message(), "crun start: exit status 1");
  EXPECT_EQ(error_of("crun", "start", {{log::Level::error, "x"}}, SIGKILL).message(),
            "crun start: killed by SIGKILL");
}

}  // namespace
}  // namespace nexcage::backends::oci_runtime
