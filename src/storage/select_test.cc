#include "nexcage/storage/select.h"

#include <utility>

#include "nexcage/storage/volume.h"
#include "result_matchers.h"

namespace nexcage::storage {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

oci::Spec spec_with_root_mount(std::string source) {
  oci::Spec spec;
  oci::Mount mount;
  mount.destination = "/";
  mount.source = std::move(source);
  spec.mounts.push_back(std::move(mount));
  return spec;
}

oci::Spec annotated(const oci::StringMap& annotations) {
  oci::Spec spec;
  spec.annotations = annotations;
  return spec;
}

Defaults with_zfs(const std::string& storage = "local") {
  return {.storage = storage, .zfs_dataset = "tank/cages", .layerfs = "auto"};
}

Defaults configured(std::string storage) {
  return {.storage = std::move(storage), .zfs_dataset = {}, .layerfs = "auto"};
}

Result<Choice> of_image(const oci::Spec& spec, const Defaults& defaults = configured("local")) {
  return select(spec, defaults, Form::image);
}

TEST(StorageSelect, falls_back_to_local_when_nothing_is_said) {
  auto choice = of_image(oci::Spec{}, configured(""));
  ASSERT_OK(choice);
  EXPECT_EQ(choice->kind, Kind::local);
  EXPECT_FALSE(choice->raw);
  EXPECT_EQ(choice->layerfs, "");
}

TEST(StorageSelect, takes_the_annotation_before_the_root_mount_and_the_configuration) {
  oci::Spec spec = spec_with_root_mount("dir:/b");
  spec.annotations["proxmox.storage"] = "dir:/a";
  auto choice = of_image(spec, configured("dir:/c"));
  ASSERT_OK(choice);
  EXPECT_EQ(choice->location, "/a");
}

TEST(StorageSelect, takes_the_root_mount_before_the_configuration) {
  auto choice = of_image(spec_with_root_mount("dir:/b"), configured("dir:/c"));
  ASSERT_OK(choice);
  EXPECT_EQ(choice->kind, Kind::directory);
  EXPECT_EQ(choice->location, "/b");
  EXPECT_EQ(choice->steps.size(), 2u);
}

TEST(StorageSelect, refuses_what_is_not_available_and_names_who_asked) {
  EXPECT_ERROR(of_image(annotated({{"proxmox.storage", "local-zfs"}})), Errc::ConfigError,
               HasSubstr("annotation proxmox.storage"));
  EXPECT_ERROR(of_image(oci::Spec{}, configured("nfs")), Errc::ConfigError,
               HasSubstr("[storage] default"));
  EXPECT_ERROR(of_image(oci::Spec{}, configured("dir:x")), Errc::ConfigError,
               HasSubstr("absolute"));
}

TEST(StorageSelect, zvol_is_a_volume_with_a_file_system) {
  auto plain = of_image(annotated({{"proxmox.storage", "zvol"}}), with_zfs());
  ASSERT_OK(plain);
  EXPECT_EQ(plain->kind, Kind::zvol);
  EXPECT_EQ(plain->location, "tank/cages");
  ASSERT_TRUE(plain->raw);
  EXPECT_EQ(plain->raw->bytes, raw::kDefaultSize);
  EXPECT_NE(plain->layerfs, "zfs");
  auto xfs = of_image(annotated({{"proxmox.storage", "zvol:tank/cages/team"},
                                 {"org.nexcage.raw", "xfs"},
                                 {"org.nexcage.storage.size", "1G"}}),
                      with_zfs());
  ASSERT_OK(xfs);
  EXPECT_EQ(xfs->location, "tank/cages/team");
  EXPECT_EQ(xfs->raw->file_system, raw::FileSystem::xfs);
  EXPECT_EQ(xfs->raw->bytes, kGiB);
  EXPECT_ERROR(
      of_image(annotated({{"proxmox.storage", "zvol"}, {"org.nexcage.raw", "false"}}), with_zfs()),
      Errc::ConfigError, HasSubstr("needs one"));
  EXPECT_ERROR(of_image(annotated({{"proxmox.storage", "zvol:tank"}}), with_zfs()),
               Errc::ConfigError, HasSubstr("tank"));
  EXPECT_ERROR(of_image(annotated({{"proxmox.storage", "zvol"}})), Errc::ConfigError,
               HasSubstr("no dataset is configured"));
}

TEST(StorageSelect, zfs_is_the_configured_dataset_or_one_within_it) {
  auto same = of_image(annotated({{"proxmox.storage", "zfs"}}), with_zfs());
  ASSERT_OK(same);
  EXPECT_EQ(same->kind, Kind::zfs);
  EXPECT_EQ(same->location, "tank/cages");
  EXPECT_EQ(same->layerfs, "zfs");
  auto below = of_image(spec_with_root_mount("zfs:tank/cages/team"), with_zfs());
  ASSERT_OK(below);
  EXPECT_EQ(below->location, "tank/cages/team");
  EXPECT_ERROR(of_image(spec_with_root_mount("zfs:tank"), with_zfs()), Errc::ConfigError,
               HasSubstr("mount on /"));
  EXPECT_ERROR(of_image(spec_with_root_mount("zfs:tank/cages2"), with_zfs()), Errc::ConfigError,
               HasSubstr("tank/cages2"));
  EXPECT_ERROR(of_image(oci::Spec{}, configured("zfs")), Errc::ConfigError,
               HasSubstr("no dataset is configured"));
}

TEST(StorageSelect, the_driver_goes_with_the_storage) {
  auto by_driver = of_image(annotated({{"org.nexcage.layerfs", "zfs"}}), with_zfs());
  ASSERT_OK(by_driver);
  EXPECT_EQ(by_driver->kind, Kind::zfs);
  auto by_default =
      of_image(oci::Spec{}, {.storage = "local", .zfs_dataset = "tank", .layerfs = "zfs"});
  ASSERT_OK(by_default);
  EXPECT_EQ(by_default->location, "tank");
  EXPECT_ERROR(of_image(annotated({{"org.nexcage.layerfs", "erofs"}}), with_zfs("zfs")),
               Errc::ConfigError, HasSubstr("driver \"erofs\""));
  EXPECT_ERROR(of_image(annotated({{"org.nexcage.layerfs", "zfs"}, {"proxmox.storage", "dir:/a"}}),
                        with_zfs()),
               Errc::ConfigError, HasSubstr("needs storage zfs"));
  auto erofs = of_image(annotated({{"org.nexcage.layerfs", "erofs"}}), with_zfs());
  ASSERT_OK(erofs);
  EXPECT_EQ(erofs->layerfs, "erofs");
}

TEST(StorageSelect, an_image_file_by_annotation_with_its_size) {
  auto choice = of_image(annotated({{"org.nexcage.raw", "xfs"}, {"org.nexcage.raw.size", "4G"}}));
  ASSERT_OK(choice);
  ASSERT_TRUE(choice->raw);
  EXPECT_EQ(choice->raw->file_system, raw::FileSystem::xfs);
  EXPECT_EQ(choice->raw->bytes, 4 * kGiB);
  auto both = of_image(annotated({{"org.nexcage.raw", "true"}, {"org.nexcage.storage.size", "2G"}}),
                       with_zfs("zfs"));
  ASSERT_OK(both);
  EXPECT_EQ(both->kind, Kind::zfs);
  EXPECT_EQ(both->raw->bytes, 2 * kGiB);
  EXPECT_NE(both->layerfs, "zfs");
}

TEST(StorageSelect, an_image_file_by_the_older_members_of_config_json) {
  oci::Spec spec;
  json::Object document;
  document.set("raw_image", true);
  document.set("raw_image_size", "3G");
  spec.document = document;
  auto choice = select(spec, configured("local"), Form::bundle);
  ASSERT_OK(choice);
  EXPECT_EQ(choice->kind, Kind::local);
  ASSERT_TRUE(choice->raw);
  EXPECT_EQ(choice->raw->bytes, 3 * kGiB);
  spec.annotations["org.nexcage.raw"] = "false";
  EXPECT_ERROR(select(spec, configured("local"), Form::bundle), Errc::ConfigError,
               HasSubstr("no raw image"));
  document.set("raw_image", 3);
  spec.annotations.clear();
  spec.document = document;
  EXPECT_ERROR(select(spec, configured("local"), Form::bundle), Errc::ConfigError,
               HasSubstr("/raw_image"));
}

TEST(StorageSelect, an_image_of_ten_gibibytes_when_no_size_is_said) {
  auto choice = of_image(oci::Spec{}, configured("raw"));
  ASSERT_OK(choice);
  ASSERT_TRUE(choice->raw);
  EXPECT_EQ(choice->raw->bytes, 10 * kGiB);
  EXPECT_EQ(choice->raw->file_system, raw::FileSystem::ext4);
}

TEST(StorageSelect, a_limit_needs_a_storage_that_has_one) {
  EXPECT_ERROR(of_image(annotated({{"org.nexcage.storage.size", "1G"}})), Errc::Unsupported,
               HasSubstr("directory"));
  auto zfs = of_image(annotated({{"org.nexcage.storage.size", "1G"}}), with_zfs("zfs"));
  ASSERT_OK(zfs);
  EXPECT_EQ(zfs->size, kGiB);
  EXPECT_ERROR(of_image(annotated({{"org.nexcage.raw.size", "1G"}})), Errc::ConfigError,
               HasSubstr("no raw image"));
  EXPECT_ERROR(of_image(annotated({{"org.nexcage.storage.size", "0"}}), with_zfs("zfs")),
               Errc::ConfigError, HasSubstr("0 bytes"));
}

TEST(StorageSelect, what_stays_in_memory_needs_no_storage) {
  auto choice = of_image(annotated({{"org.nexcage.tmpfs-upper", "0"}}), with_zfs("zfs"));
  ASSERT_OK(choice);
  EXPECT_EQ(choice->kind, Kind::local);
  EXPECT_NE(choice->layerfs, "zfs");
  EXPECT_ERROR(of_image(annotated({{"org.nexcage.tmpfs-upper", "0"}, {"proxmox.storage", "zfs"}}),
                        with_zfs()),
               Errc::ConfigError, HasSubstr("memory"));
}

TEST(StorageSelect, a_bundle_keeps_its_files_unless_it_asks) {
  auto choice = select(oci::Spec{}, with_zfs("zfs"), Form::bundle);
  ASSERT_OK(choice);
  EXPECT_EQ(choice->kind, Kind::bundle);
  auto asked = select(annotated({{"proxmox.storage", "zfs"}}), with_zfs(), Form::bundle);
  ASSERT_OK(asked);
  EXPECT_EQ(asked->kind, Kind::zfs);
}

TEST(StorageSelect, an_ordinary_mount_on_the_root_is_no_storage) {
  EXPECT_FALSE(is_root_mount(spec_with_root_mount("/srv/x").mounts[0]));
  EXPECT_TRUE(is_root_mount(spec_with_root_mount("zfs:tank").mounts[0]));
}

TEST(StorageSelect, a_choice_is_the_same_after_json) {
  auto choice = of_image(annotated({{"org.nexcage.raw", "xfs"}, {"org.nexcage.raw.size", "4G"}}),
                         with_zfs("zfs"));
  ASSERT_OK(choice);
  auto back = choice_from_json(to_json(*choice));
  ASSERT_OK(back);
  EXPECT_EQ(to_json(*back), to_json(*choice));
  EXPECT_EQ(back->raw->bytes, 4 * kGiB);
  EXPECT_ERROR(choice_from_json(json::Object{}), Errc::InvalidJson, HasSubstr("kind"));
  auto volume = of_image(annotated({{"proxmox.storage", "zvol"}}), with_zfs());
  ASSERT_OK(volume);
  auto volume_back = choice_from_json(to_json(*volume));
  ASSERT_OK(volume_back);
  EXPECT_EQ(to_json(*volume_back), to_json(*volume));
}

TEST(StorageVolume, is_the_same_after_json) {
  const Volume volume{.kind = Kind::zfs,
                      .base = "/c/a/a/storage",
                      .subvolume = false,
                      .dataset = "tank/cages/a",
                      .token = "0011",
                      .raw = Volume::Image{"/c/a/a/storage/a.raw", raw::FileSystem::xfs}};
  auto back = volume_from_json(to_json(volume));
  ASSERT_OK(back);
  EXPECT_EQ(to_json(*back), to_json(volume));
  EXPECT_EQ(back->snapshots(), "/c/a/a/storage/snapshots");
  EXPECT_ERROR(volume_from_json(json::Object{}), Errc::InvalidJson, HasSubstr("storage"));
}

TEST(StorageVolume, names_of_containers_become_datasets) {
  const Choice zfs{.kind = Kind::zfs,
                   .location = "tank/cages",
                   .raw = {},
                   .size = {},
                   .layerfs = "zfs",
                   .steps = {}};
  auto volume = plan_volume(zfs, "a+b", "/c/a+b");
  ASSERT_OK(volume);
  EXPECT_EQ(volume->dataset, "tank/cages/a:b");
  EXPECT_EQ(volume->token.size(), 32u);
  EXPECT_EQ(volume->base, "");
  auto other = plan_volume(zfs, "a+b", "/c/a+b");
  ASSERT_OK(other);
  EXPECT_NE(other->token, volume->token);
  EXPECT_ERROR(plan_volume(zfs, "nexcage", "/c/nexcage"), Errc::ConfigError, HasSubstr("images"));
}

TEST(StorageVolume, later_generations_have_places_that_no_container_has) {
  const auto place = [](Kind kind, const std::string& location, bool raw) {
    const Choice choice{.kind = kind,
                        .location = location,
                        .raw = raw ? std::optional(RawChoice{}) : std::nullopt,
                        .size = {},
                        .layerfs = {},
                        .steps = {}};
    const auto volume = plan_volume(choice, "a+b", "/c/a+b", 3);
    EXPECT_OK(volume);
    const std::string image = volume->raw ? " " + volume->raw->path : "";
    return (volume->dataset.empty() ? "" : volume->dataset + " ") + volume->base + image;
  };
  EXPECT_EQ(place(Kind::local, "", false), "/c/a+b/generations/3");
  EXPECT_EQ(place(Kind::local, "", true), "/c/a+b/generations/3 /c/a+b/generations/3/a+b.raw");
  EXPECT_EQ(place(Kind::directory, "/srv", false), "/srv/a+b@3");
  EXPECT_EQ(place(Kind::directory, "/srv", true), "/srv/a+b@3 /srv/a+b@3/a+b.raw");
  EXPECT_EQ(place(Kind::zfs, "tank", false), "tank/a:b:generation:3 ");
  EXPECT_EQ(place(Kind::zfs, "tank", true),
            "tank/a:b:generation:3 /c/a+b/generations/3 /c/a+b/generations/3/a+b.raw");
  EXPECT_EQ(place(Kind::zvol, "tank", true), "tank/a:b:generation:3  ");
}

}  // namespace
}  // namespace nexcage::storage
