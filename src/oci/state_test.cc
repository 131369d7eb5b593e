#include "nexcage/oci/state.h"

#include "nexcage/oci/spec_testing.h"
#include "result_matchers.h"

namespace nexcage::oci {
namespace {

using ::testing::HasSubstr;

TEST(State, IsWrittenInRuncsOrder) {
  State state{"1.0.2", "web", Status::created, 42, "/b", {}};
  EXPECT_EQ(json::dump(to_json(state)),
            R"({"ociVersion":"1.0.2","id":"web","status":"created","pid":42,"bundle":"/b"})");
  state.pid = 0;
  state.annotations["k"] = "v";
  EXPECT_EQ(json::dump(to_json(state)),
            R"({"ociVersion":"1.0.2","id":"web","status":"created","pid":0,"bundle":"/b",)"
            R"("annotations":{"k":"v"}})");
}

TEST(State, RoundTrips) {
  for (Status status :
       {Status::creating, Status::created, Status::running, Status::paused, Status::stopped}) {
    const State state{"1.3.0", "a_b+c.d-e", status, 7, "/b", {{"k", "v\nw"}}};
    const auto again = parse_state(to_json(state));
    ASSERT_OK(again);
    EXPECT_EQ(again->status, status);
    EXPECT_EQ(to_json(*again), to_json(state));
    const auto named = parse_status(status_name(status));
    ASSERT_OK(named);
    EXPECT_EQ(*named, status);
  }
}

TEST(State, RefusalsNameTheField) {
  const auto with = [](const char* name, const char* text) {
    json::Value value =
        document(R"({"ociVersion":"1.0.2","id":"a","status":"running","pid":1,"bundle":"/b"})");
    put(value, name, document(text));
    return parse_state(value);
  };
  EXPECT_OK(with("pid", "null"));
  EXPECT_ERROR(with("status", R"("dead")"), Errc::InvalidState, HasSubstr("/status: unknown"));
  EXPECT_ERROR(with("pid", "-1"), Errc::InvalidState, HasSubstr("/pid: must be"));
  EXPECT_ERROR(with("pid", "2147483648"), Errc::InvalidState, HasSubstr("/pid: must be"));
  EXPECT_ERROR(with("bundle", R"("b")"), Errc::InvalidState, HasSubstr("/bundle: must be an abs"));
  EXPECT_ERROR(with("id", R"("../x")"), Errc::InvalidSpec, HasSubstr("/id: container id"));
  EXPECT_ERROR(parse_status("gone"), Errc::InvalidState, HasSubstr("\"gone\""));
}

TEST(ContainerId, Grammar) {
  for (const std::string& id :
       {std::string("a"), std::string("A_1+b.c-d"), std::string("..."), std::string(255, 'x')})
    EXPECT_OK(check_container_id(id));
  for (const std::string& id :
       {std::string(), std::string("."), std::string(".."), std::string("a/b"), std::string("a b"),
        std::string("a\0", 2), std::string("\xc3\xa9"), std::string("a,b"), std::string(256, 'x')})
    EXPECT_ERROR(check_container_id(id), Errc::InvalidSpec, HasSubstr("container id"));
}

}  // namespace
}  // namespace nexcage::oci
