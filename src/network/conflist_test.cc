#include "nexcage/network/conflist.h"

#include <fstream>

#include "nexcage/sys/fs.h"
#include "result_matchers.h"
#include "scratch.h"

namespace nexcage::network {
namespace {

using testing::HasSubstr;

Result<NetworkList> list_of(const std::string& text) {
  NX_TRY(const json::Value value, json::parse(text));
  return parse_list(value);
}

TEST(Conflist, keeps_what_it_does_not_know) {
  const auto list = list_of(R"({"cniVersion": "0.4.0", "name": "a.b-c_1", "disableCheck": true,
    "plugins": [{"type": "x", "own": {"deep": [1, 2.5]}}, {"type": "portmap",
    "capabilities": {"portMappings": true, "mac": false}}]})");
  ASSERT_OK(list);
  EXPECT_EQ(list->version, "0.4.0");
  EXPECT_EQ(list->plugins.size(), 2U);
  EXPECT_EQ(json::dump(list->plugins[0]), R"({"type":"x","own":{"deep":[1,2.5]}})");
  EXPECT_TRUE(list->takes("portMappings"));
  EXPECT_FALSE(list->takes("mac"));
  EXPECT_FALSE(list->takes("ips"));
}

TEST(Conflist, speaks_the_highest_version_both_know) {
  const auto version = [](const char* members) {
    const auto list =
        list_of(std::string(R"({"name": "n", "plugins": [{"type": "x"}])") + members + "}");
    return list ? list->version : list.error().message();
  };
  EXPECT_EQ(version(""), "0.1.0");
  EXPECT_EQ(version(R"(, "cniVersion": "0.3.1")"), "0.3.1");
  EXPECT_EQ(version(R"(, "cniVersion": "1.1.0", "cniVersions": ["0.4.0", "1.0.0", "9.0.0"])"),
            "1.0.0");
  EXPECT_THAT(version(R"(, "cniVersion": "1.1.0")"), HasSubstr("0.1.0 to 1.0.0"));
}

TEST(Conflist, refuses_what_is_none) {
  for (const char* bad :
       {"[]", "{}", R"({"name": "n"})", R"({"name": "n", "plugins": []})",
        R"({"name": "n", "plugins": {}})", R"({"name": "n", "plugins": [1]})",
        R"({"name": "n", "plugins": [{}]})", R"({"name": "n", "plugins": [{"type": 1}]})",
        R"({"name": "n", "plugins": [{"type": "../sh"}]})",
        R"({"name": "n", "plugins": [{"type": ".."}]})",
        R"({"name": "/n", "plugins": [{"type": "x"}]})",
        R"({"name": "", "plugins": [{"type": "x"}]})", R"({"name": 1, "plugins": [{"type": "x"}]})",
        R"({"cniVersion": 1, "name": "n", "plugins": [{"type": "x"}]})"})
    EXPECT_ERROR(list_of(bad), Errc::ConfigError, testing::_);
}

class Directory : public testing::Test {
 protected:
  void SetUp() override {
    auto dir = sys::TempDir::create(scratch_parent(), "conflist");
    ASSERT_OK(dir);
    dir_.emplace(std::move(*dir));
  }
  void write(const std::string& name, const std::string& text) {
    std::ofstream(dir_->path() + "/" + name) << text;
  }
  std::optional<sys::TempDir> dir_;
};

TEST_F(Directory, is_searched_lists_first_and_in_order) {
  write("20-a.conflist", R"({"name": "a", "plugins": [{"type": "second"}]})");
  write("10-a.conflist", R"({"name": "a", "plugins": [{"type": "first"}]})");
  write("00-a.conf", R"({"name": "a", "type": "single"})");
  write("05-b.conf", R"({"name": "b", "type": "bridge", "bridge": "br9"})");
  write("06-b.json", R"({"name": "b", "type": "later"})");
  write("07.txt", R"({"name": "c", "type": "no"})");
  const auto a = find_network(dir_->path(), "a");
  ASSERT_OK(a);
  EXPECT_EQ(json::dump(a->plugins[0]), R"({"type":"first"})");
  const auto b = find_network(dir_->path(), "b");
  ASSERT_OK(b);
  EXPECT_EQ(json::dump(b->plugins[0]), R"({"name":"b","type":"bridge","bridge":"br9"})");
  EXPECT_ERROR(find_network(dir_->path(), "c"), Errc::ConfigError, HasSubstr("no network \"c\""));
}

TEST_F(Directory, with_a_broken_file_is_used_all_the_same) {
  write("00-broken.conflist", "{");
  write("10-good.conflist", R"({"name": "good", "plugins": [{"type": "x"}]})");
  EXPECT_OK(find_network(dir_->path(), "good"));
  const auto missing = find_network(dir_->path(), "other");
  ASSERT_FALSE(missing.has_value());
  EXPECT_THAT(missing.error().hint(), HasSubstr("00-broken.conflist (unusable"));
  EXPECT_THAT(missing.error().hint(), HasSubstr("good"));
}

TEST_F(Directory, that_is_missing_has_no_networks) {
  EXPECT_ERROR(find_network(dir_->path() + "/none", "a"), Errc::ConfigError, HasSubstr("\"a\""));
}

}  // namespace
}  // namespace nexcage::network
