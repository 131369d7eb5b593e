#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "nexcage/runtime/runtime.h"
#include "nexcage/sys/fs.h"
#include "result_matchers.h"

namespace nexcage::runtime {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class User : public testing::Test {
 protected:
  void SetUp() override {
    auto dir = sys::TempDir::create("/tmp", "user-test");
    ASSERT_OK(dir);
    dir_.emplace(std::move(*dir));
    ASSERT_OK(sys::mkdirs(dir_->path() + "/etc", 0755));
    write("etc/passwd",
          "root:x:0:0::/:/bin/sh\nbroken line\nweb:x:1000:1001::/home/web:/bin/sh\n"
          "big:x:4294967296:0::/:\n");
    write("etc/group", "root:x:0:\nweb:x:1001:\nlog:x:50:web,other\nwheel:x:10:web\n");
  }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(dir_->path() + "/" + name) << text;
  }
  Result<oci::User> look_up(const std::string& text) const {
    return resolve_user(dir_->path(), text);
  }
  std::optional<sys::TempDir> dir_;
};

TEST_F(User, nothing_said_is_root) {
  auto user = look_up("");
  ASSERT_OK(user);
  EXPECT_EQ(user->uid, 0U);
  EXPECT_EQ(user->gid, 0U);
}

TEST_F(User, a_name_brings_its_groups) {
  auto user = look_up("web");
  ASSERT_OK(user);
  EXPECT_EQ(user->uid, 1000U);
  EXPECT_EQ(user->gid, 1001U);
  EXPECT_THAT(user->additional_gids, ElementsAre(50U, 10U));
}

TEST_F(User, an_explicit_group_replaces_them) {
  auto user = look_up("web:log");
  ASSERT_OK(user);
  EXPECT_EQ(user->gid, 50U);
  EXPECT_TRUE(user->additional_gids.empty());
}

TEST_F(User, numbers_need_no_entry) {
  auto user = look_up("7:8");
  ASSERT_OK(user);
  EXPECT_EQ(user->uid, 7U);
  EXPECT_EQ(user->gid, 8U);
  user = look_up("1000");
  ASSERT_OK(user);
  EXPECT_EQ(user->gid, 1001U);  // known by number
}

TEST_F(User, what_does_not_exist_is_refused_not_root) {
  EXPECT_ERROR(look_up("nobody"), Errc::InvalidSpec, HasSubstr("nobody"));
  EXPECT_ERROR(look_up("web:nogroup"), Errc::InvalidSpec, HasSubstr("nogroup"));
  EXPECT_ERROR(look_up("big"), Errc::InvalidSpec, HasSubstr("big"));
}

TEST_F(User, ids_never_wrap) {
  EXPECT_ERROR(look_up("4294967296"), Errc::InvalidSpec, HasSubstr("4294967296"));
  EXPECT_ERROR(look_up("4294967295"), Errc::InvalidSpec, HasSubstr("4294967295"));
  EXPECT_ERROR(look_up("-1"), Errc::InvalidSpec, HasSubstr("-1"));
  EXPECT_ERROR(look_up("0:4294967296"), Errc::InvalidSpec, HasSubstr("4294967296"));
}

TEST_F(User, malformed_text_is_refused) {
  EXPECT_ERROR(look_up(":"), Errc::InvalidSpec, HasSubstr("user[:group]"));
  EXPECT_ERROR(look_up("a:b:c"), Errc::InvalidSpec, HasSubstr("user[:group]"));
  EXPECT_ERROR(look_up("web:"), Errc::InvalidSpec, HasSubstr("user[:group]"));
}

TEST_F(User, a_passwd_that_links_out_of_the_root_is_not_followed) {
  ASSERT_EQ(unlink((dir_->path() + "/etc/passwd").c_str()), 0);
  ASSERT_EQ(symlink("/etc/passwd-elsewhere", (dir_->path() + "/etc/passwd").c_str()), 0);
  write("etc/passwd-elsewhere", "inside:x:5:5::/:\n");
  auto user = look_up("inside");  // resolved inside the root
  ASSERT_OK(user);
  EXPECT_EQ(user->uid, 5U);
}

TEST_F(User, a_fifo_in_place_of_passwd_does_not_hang) {
  ASSERT_EQ(unlink((dir_->path() + "/etc/passwd").c_str()), 0);
  ASSERT_EQ(mkfifo((dir_->path() + "/etc/passwd").c_str(), 0600), 0);
  EXPECT_ERROR(look_up("web"), Errc::InvalidRootfs, HasSubstr("regular file"));
}

}  // namespace
}  // namespace nexcage::runtime
