// Property strings, task names, answers, records of the launcher.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nexcage/pve/answer.h"
#include "nexcage/pve/launch.h"
#include "nexcage/pve/property_string.h"
#include "nexcage/pve/upid.h"
#include "nexcage/pve/version.h"
#include "result_matchers.h"

namespace nexcage::pve {
namespace {

using ::testing::HasSubstr;

TEST(PropertyString, KeepsOrderAndTheValueWithoutKey) {
  const auto parsed = Properties::parse("local:4/vm-1-disk-0.raw,mp=/a=b,ro=1");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->find(""), "local:4/vm-1-disk-0.raw");
  EXPECT_EQ(parsed->find("mp"), "/a=b");
  EXPECT_EQ(parsed->print("mp0").value(), "local:4/vm-1-disk-0.raw,mp=/a=b,ro=1");
}

TEST(PropertyString, RefusesWhatCannotBeOne) {
  EXPECT_ERROR(Properties::parse("a=1,,b=2"), Errc::InvalidConfig, ::testing::_);
  EXPECT_ERROR(Properties::parse("a=1,a=2"), Errc::InvalidConfig, ::testing::_);
  EXPECT_ERROR(Properties::parse("x,y"), Errc::InvalidConfig, ::testing::_);
  EXPECT_ERROR(Properties().set("mp", "/a,ro=1").print("mp0"), Errc::InvalidConfig, ::testing::_);
  EXPECT_ERROR(Properties().set("mp", "/a\nb").print("mp0"), Errc::InvalidConfig, ::testing::_);
}

TEST(Upid, IsTakenApart) {
  const auto upid = Upid::parse("UPID:pve1:00000110:00033077:6B01F679:vzcreate:300:root@pam!cli:");
  ASSERT_TRUE(upid);
  EXPECT_EQ(upid->node + " " + upid->type + " " + upid->id + " " + upid->user,
            "pve1 vzcreate 300 root@pam!cli");
  for (const char* bad : {"", "UPID:", "UPID:n:1:2:3:t:i:u:",
                          "UPID:pve1:00000110:00033077:6B01F679:vzcreate:300:root@pam"})
    EXPECT_ERROR(Upid::parse(bad), Errc::ProxmoxError, ::testing::_);
}

TEST(TaskEnd, WarningsAreSuccess) {
  EXPECT_TRUE(parse_task_end("OK").ok);
  EXPECT_EQ(parse_task_end("WARNINGS: 3").warnings, 3U);
  EXPECT_TRUE(parse_task_end("WARNINGS: 3").ok);
  EXPECT_FALSE(parse_task_end("WARNINGS: x").ok);
  EXPECT_FALSE(parse_task_end("unexpected status").ok);
}

TEST(Answer, ErrorsSpeakTheServersWords) {
  const auto refused = [](int status, const char* reason, const char* body) {
    const auto answer = parse_answer("GET /x", {status, reason, body});
    return answer ? "accepted"
                  : std::string(errc_name(answer.error().code())) + " " + answer.error().message();
  };
  EXPECT_EQ(refused(401, "No ticket", ""), "PermissionDenied GET /x: No ticket (401)");
  EXPECT_EQ(refused(403, "Permission check failed (/vms/1, VM.Audit)",
                    R"({"data":null,"message":"Permission check failed (/vms/1, VM.Audit)\n"})"),
            "PermissionDenied GET /x: Permission check failed (/vms/1, VM.Audit) (403)");
  EXPECT_EQ(
      refused(
          400, "Parameter verification failed.",
          R"({"data":null,"message":"Parameter verification failed.\n","errors":{"vmid":"bad\n","x":"y"}})"),
      "ProxmoxError GET /x: Parameter verification failed. vmid: bad; x: y (400)");
  EXPECT_EQ(refused(501, "for data too large", "for data too large"),
            "Unsupported GET /x: for data too large (501)");
  EXPECT_EQ(refused(595, "Connection refused", ""),
            "ProxmoxError GET /x: Connection refused (595)");
  EXPECT_THAT(refused(200, "OK", "<html>"), HasSubstr("none of the API"));
  EXPECT_EQ(parse_answer("GET /x", {200, "OK", R"({"data":"100"})"}).value().text(), "100");
}

TEST(Answer, TypesAreReadLeniently) {
  const json::Value one(1), text("128");
  EXPECT_TRUE(as_bool(&one));
  EXPECT_EQ(as_number(&text), 128);
  EXPECT_EQ(as_text(&one), "1");
}

TEST(Launch, RecordComesBack) {
  Launch launch{.args = {"/bin/sh", "-c", "a\nb 'c' \"d\""}, .cwd = "/srv", .stop_signal = 3};
  launch.user.uid = 1000;
  launch.user.additional_gids = {5, 6};
  launch.user.umask = 022;
  launch.env = {{2, "odd.name=x"}};
  const auto again = decode_text(encode_text(launch));
  ASSERT_TRUE(again);
  EXPECT_TRUE(*again == launch);
  EXPECT_ERROR(decode_text("AAAA"), Errc::InvalidConfig, ::testing::_);
  EXPECT_ERROR(decode_text(encode_text(launch).substr(0, 40)), Errc::InvalidConfig, ::testing::_);
}

TEST(Version, OrdersReleases) {
  EXPECT_FALSE(Version::parse("8.4").value().has_entrypoint());
  EXPECT_TRUE(Version::parse("9.1").value().has_entrypoint());
  EXPECT_ERROR(Version::parse("unknown"), Errc::ProxmoxError, ::testing::_);
}

}  // namespace
}  // namespace nexcage::pve
