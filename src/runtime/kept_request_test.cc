#include "nexcage/runtime/kept_request.h"

#include <fstream>

#include "nexcage/sys/fs.h"
#include "result_matchers.h"

namespace nexcage::runtime {
namespace {

using testing::HasSubstr;

json::Value document(const Request& request) {
  json::Object object;
  object.set("id", request.id);
  object.set("options", options_to_json(request));
  return json::Value(std::move(object));
}

TEST(KeptRequest, comes_back_as_it_was) {
  Request plain;
  plain.id = "c1";
  Request full = plain;
  full.pid_file = "/run/c1 \"1\".pid";
  full.pivot = backends::Pivot::move_mount;
  full.keyring = backends::Keyring::inherited;
  full.cgroup_manager = backends::CgroupManager::systemd;
  full.keep_stdin = full.remove_ended = true;
  for (const Request& request : {plain, full}) {
    const auto read = request_from_json(document(request));
    ASSERT_OK(read);
    EXPECT_EQ(read->id, request.id);
    EXPECT_EQ(read->pid_file, request.pid_file);
    EXPECT_EQ(read->pivot, request.pivot);
    EXPECT_EQ(read->keyring, request.keyring);
    EXPECT_EQ(read->cgroup_manager, request.cgroup_manager);
    EXPECT_EQ(read->keep_stdin, request.keep_stdin);
    EXPECT_EQ(read->remove_ended, request.remove_ended);
  }
}

TEST(KeptRequest, of_a_version_without_options_has_the_defaults) {
  const auto read = request_from_json(*json::parse("{\"id\": \"c1\"}"));
  ASSERT_OK(read);
  EXPECT_EQ(read->id, "c1");
  EXPECT_EQ(read->cgroup_manager, backends::CgroupManager::cgroupfs);
  EXPECT_FALSE(read->remove_ended);
}

TEST(KeptRequest, refuses_what_it_does_not_know) {
  const auto read = [](const char* options) {
    return request_from_json(*json::parse("{\"options\": " + std::string(options) + "}"));
  };
  EXPECT_ERROR(read("{\"cgroup_manager\": \"other\"}"), Errc::InvalidJson, HasSubstr("other"));
  EXPECT_ERROR(read("{\"cgroup_manager\": \"cgroupfs\", \"remove\": 1}"), Errc::InvalidJson,
               HasSubstr("remove"));
}

TEST(KeptRequest, says_that_a_bundle_has_none) {
  const auto dir = sys::TempDir::create("/tmp", "kept-request");
  ASSERT_OK(dir);
  EXPECT_ERROR(read_request(dir->path()), Errc::InvalidState, HasSubstr("request.json"));
  std::ofstream(dir->path() + "/request.json") << "{";
  EXPECT_ERROR(read_request(dir->path()), Errc::InvalidJson, HasSubstr("request.json"));
}

}  // namespace
}  // namespace nexcage::runtime
