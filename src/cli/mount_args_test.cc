#include "nexcage/cli/mount_args.h"

#include "result_matchers.h"

namespace nexcage::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(ParseVolume, binds_a_host_directory) {
  auto mount = parse_volume("/srv//data/:/data", "/home/u");
  ASSERT_OK(mount);
  EXPECT_EQ(mount->type, "bind");
  EXPECT_EQ(mount->source, "/srv/data");
  EXPECT_EQ(mount->destination, "/data");
  EXPECT_THAT(mount->options, ElementsAre("rbind", "rprivate"));
}

TEST(ParseVolume, relative_source_is_taken_from_the_working_directory) {
  auto mount = parse_volume("./d:/data:ro,rslave,noexec", "/home/u");
  ASSERT_OK(mount);
  EXPECT_EQ(mount->source, "/home/u/d");
  EXPECT_THAT(mount->options, ElementsAre("rbind", "rslave", "ro", "noexec"));
}

TEST(ParseVolume, refuses_what_it_cannot_do) {
  EXPECT_ERROR(parse_volume("name:/data", "/"), Errc::Unsupported, HasSubstr("named volumes"));
  EXPECT_ERROR(parse_volume("/data", "/"), Errc::Unsupported, HasSubstr("named volumes"));
  EXPECT_ERROR(parse_volume("/a:/b:Z", "/"), Errc::Unsupported, HasSubstr("Z"));
  EXPECT_ERROR(parse_volume("/a:/b:wild", "/"), Errc::InvalidSpec, HasSubstr("wild"));
  EXPECT_ERROR(parse_volume("/a:b", "/"), Errc::InvalidSpec, HasSubstr("absolute"));
  EXPECT_ERROR(parse_volume("/a:/b/..", "/"), Errc::InvalidSpec, HasSubstr("root directory"));
  EXPECT_ERROR(parse_volume("/a:/b:ro:x", "/"), Errc::InvalidSpec, HasSubstr("expected"));
}

TEST(ParseMount, bind_with_its_words) {
  auto mount = parse_mount("type=bind,src=d,target=/t,readonly,bind-propagation=shared", "/h");
  ASSERT_OK(mount);
  EXPECT_EQ(mount->source, "/h/d");
  EXPECT_EQ(mount->destination, "/t");
  EXPECT_THAT(mount->options, ElementsAre("rbind", "shared", "ro"));
  mount = parse_mount("type=bind,source=/a,dst=/t,ro=false,bind-nonrecursive", "/h");
  ASSERT_OK(mount);
  EXPECT_THAT(mount->options, ElementsAre("bind", "rprivate", "rw"));
}

TEST(ParseMount, tmpfs_with_size_and_mode) {
  auto mount = parse_mount("type=tmpfs,destination=/t,tmpfs-size=1m,tmpfs-mode=0700", "/h");
  ASSERT_OK(mount);
  EXPECT_EQ(mount->type, "tmpfs");
  EXPECT_EQ(mount->source, "tmpfs");
  EXPECT_THAT(mount->options,
              ElementsAre("nosuid", "nodev", "rprivate", "size=1048576", "mode=0700"));
}

TEST(ParseMount, refuses_what_it_cannot_do) {
  EXPECT_ERROR(parse_mount("src=/a,dst=/b", "/"), Errc::Unsupported, HasSubstr("volumes"));
  EXPECT_ERROR(parse_mount("type=image,src=x,dst=/b", "/"), Errc::Unsupported, HasSubstr("image"));
  EXPECT_ERROR(parse_mount("type=bind,dst=/b", "/"), Errc::InvalidSpec, HasSubstr("source"));
  EXPECT_ERROR(parse_mount("type=bind,src=/a", "/"), Errc::InvalidSpec, HasSubstr("destination"));
  EXPECT_ERROR(parse_mount("type=bind,src=/a,dst=/b,color=red", "/"), Errc::InvalidSpec,
               HasSubstr("color"));
  EXPECT_ERROR(parse_mount("type=bind,src=/a,dst=/b,ro=perhaps", "/"), Errc::InvalidSpec,
               HasSubstr("perhaps"));
}

}  // namespace
}  // namespace nexcage::cli
