#include "nexcage/runtime/kept_source.h"

#include <cstdlib>

#include "nexcage/runtime/kept_request.h"
#include "nexcage/sys/fs.h"
#include "result_matchers.h"

namespace nexcage::runtime {
namespace {

using testing::HasSubstr;

ImageSource everything() {
  ImageSource source;
  source.image = "app:1";
  source.command = {"a", "b c"};
  source.entrypoint = {"sh", "-c"};
  source.env = {"A=b", "NX_TEST_BARE"};
  source.user = "web:log";
  source.workdir = "/srv";
  source.hostname = "box";
  source.mounts = {{.destination = "/data",
                    .type = "bind",
                    .source = "/srv/data",
                    .options = {"rbind", "ro"},
                    .uid_mappings = {},
                    .gid_mappings = {}}};
  source.memory = 64U << 20;
  source.cpus = 1.5;
  source.pids_limit = 60;
  source.annotations = {{"a", "b"}};
  source.uid_map = {{0, 100000, 65536}};
  source.gid_map = {{0, 4294967295U, 1}};
  source.terminal = source.read_only = true;
  return source;
}

TEST(KeptSource, comes_back_as_it_was_and_bare_variables_with_their_value) {
  ASSERT_EQ(::setenv("NX_TEST_BARE", "at creation", 1), 0);
  const json::Value text = to_json(everything());
  ASSERT_EQ(::setenv("NX_TEST_BARE", "at update", 1), 0);
  const auto back = source_from_json(text);
  ASSERT_OK(back);
  ImageSource expected = everything();
  expected.env = {"A=b", "NX_TEST_BARE=at creation"};
  EXPECT_EQ(to_json(*back), to_json(expected));
  EXPECT_EQ(back->uid_map, expected.uid_map);
  EXPECT_EQ(back->gid_map, expected.gid_map);
  EXPECT_TRUE(back->terminal);
}

TEST(KeptSource, refuses_maps_that_are_none) {
  for (const char* map : {"5", "[5]", "[[1, 2]]", "[[1, 2, 4294967296]]", "[[1, 2, \"3\"]]"}) {
    const auto document = json::parse(std::string(R"({"image": "x", "uid_map": )") + map + "}");
    ASSERT_OK(document);
    EXPECT_ERROR(source_from_json(*document), Errc::InvalidJson, HasSubstr("/uid_map"));
  }
}

TEST(KeptSource, of_a_container_of_an_earlier_version_is_missing) {
  auto dir = sys::TempDir::create("/tmp", "kept-source-test");
  ASSERT_OK(dir);
  EXPECT_ERROR(read_source(dir->path()), Errc::InvalidState, HasSubstr("is missing"));
  ASSERT_OK(sys::write_file_atomic(dir->path() + "/request.json", "{\"id\": \"c1\"}", 0600,
                                   sys::Durable::no));
  EXPECT_ERROR(read_source(dir->path()), Errc::InvalidState, HasSubstr("earlier version"));
  ASSERT_OK(sys::write_file_atomic(dir->path() + "/request.json",
                                   R"({"source": {"image": "app:1"}, "volumes": ["/data"]})", 0600,
                                   sys::Durable::no));
  const auto kept = read_source(dir->path());
  ASSERT_OK(kept);
  EXPECT_EQ(kept->source.image, "app:1");
  EXPECT_EQ(kept->volumes, std::vector<std::string>{"/data"});
}

}  // namespace
}  // namespace nexcage::runtime
