#include "nexcage/storage/select.h"

#include "result_matchers.h"

namespace nexcage::storage {
namespace {

using testing::HasSubstr;

oci::Spec spec_with_root_mount(std::string source) {
  oci::Spec spec;
  oci::Mount mount;
  mount.destination = "/";
  mount.source = std::move(source);
  spec.mounts.push_back(std::move(mount));
  return spec;
}

TEST(StorageSelect, falls_back_to_local_when_nothing_is_said) {
  auto choice = select(oci::Spec{}, "");
  ASSERT_OK(choice);
  EXPECT_EQ(choice->kind, Kind::local);
  EXPECT_EQ(choice->origin, Origin::configuration);
}

TEST(StorageSelect, takes_the_annotation_before_the_root_mount_and_the_configuration) {
  oci::Spec spec = spec_with_root_mount("dir:/b");
  spec.annotations["proxmox.storage"] = "dir:/a";
  auto choice = select(spec, "dir:/c");
  ASSERT_OK(choice);
  EXPECT_EQ(choice->location, "/a");
  EXPECT_EQ(choice->origin, Origin::annotation);
}

TEST(StorageSelect, takes_the_root_mount_before_the_configuration) {
  auto choice = select(spec_with_root_mount("dir:/b"), "dir:/c");
  ASSERT_OK(choice);
  EXPECT_EQ(choice->kind, Kind::directory);
  EXPECT_EQ(choice->location, "/b");
}

TEST(StorageSelect, refuses_what_is_not_available_and_names_who_asked) {
  EXPECT_ERROR(select(spec_with_root_mount("zfs:tank/x"), ""), Errc::ConfigError,
               HasSubstr("mount on /"));
  EXPECT_ERROR(select(oci::Spec{}, "raw"), Errc::ConfigError, HasSubstr("[storage] default"));
  oci::Spec spec;
  spec.annotations["proxmox.storage"] = "local-zfs";
  EXPECT_ERROR(select(spec, "local"), Errc::ConfigError, HasSubstr("annotation"));
}

TEST(StorageSelect, refuses_a_relative_directory) {
  EXPECT_ERROR(select(oci::Spec{}, "dir:x"), Errc::ConfigError, HasSubstr("absolute"));
}

TEST(StorageSelect, an_ordinary_mount_on_the_root_is_no_storage) {
  EXPECT_FALSE(is_root_mount(spec_with_root_mount("/srv/x").mounts[0]));
  EXPECT_TRUE(is_root_mount(spec_with_root_mount("zfs:tank").mounts[0]));
}

}  // namespace
}  // namespace nexcage::storage
