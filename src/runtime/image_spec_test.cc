#include "nexcage/runtime/image_spec.h"

#include <cstdlib>

#include "result_matchers.h"

namespace nexcage::runtime {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

oci::ImageConfig image_with(std::vector<std::string> entrypoint, std::vector<std::string> cmd) {
  oci::ImageConfig image;
  image.config.entrypoint = std::move(entrypoint);
  image.config.cmd = std::move(cmd);
  return image;
}

Result<ImageSpec> make(const oci::ImageConfig& image, const ImageSource& wanted) {
  return spec_from_image(image, wanted, "0123456789abcdef", "docker.io/library/x:latest");
}

TEST(ImageSpec, joins_entrypoint_and_cmd) {
  auto made = make(image_with({"/e"}, {"a", "b"}), {});
  ASSERT_OK(made);
  EXPECT_THAT(made->spec.process->args, ElementsAre("/e", "a", "b"));
}

TEST(ImageSpec, a_command_replaces_cmd_only) {
  ImageSource wanted;
  wanted.command = {"c"};
  auto made = make(image_with({"/e"}, {"a"}), wanted);
  ASSERT_OK(made);
  EXPECT_THAT(made->spec.process->args, ElementsAre("/e", "c"));
}

TEST(ImageSpec, an_entrypoint_drops_the_images_cmd) {
  ImageSource wanted;
  wanted.entrypoint = {{"/other"}};
  auto made = make(image_with({"/e"}, {"a"}), wanted);
  ASSERT_OK(made);
  EXPECT_THAT(made->spec.process->args, ElementsAre("/other"));
}

TEST(ImageSpec, nothing_to_execute_is_refused_with_advice) {
  auto made = make(image_with({}, {}), {});
  EXPECT_ERROR(made, Errc::InvalidSpec, HasSubstr("no command"));
  EXPECT_THAT(made.error().hint(), HasSubstr("nexcage run IMAGE COMMAND"));
}

TEST(ImageSpec, the_command_lines_environment_wins_over_the_images) {
  oci::ImageConfig image = image_with({"/e"}, {});
  image.config.env = {"PATH=/image", "A=1", "B=2"};
  ImageSource wanted;
  wanted.env = {"A=3", "FROM_CALLER", "NOT_THERE"};
  setenv("FROM_CALLER", "yes", 1);
  unsetenv("NOT_THERE");
  auto made = make(image, wanted);
  ASSERT_OK(made);
  const auto& env = made->spec.process->env;
  EXPECT_THAT(env, Contains("PATH=/image"));
  EXPECT_THAT(env, Contains("A=3"));
  EXPECT_THAT(env, Not(Contains("A=1")));
  EXPECT_THAT(env, Contains("B=2"));
  EXPECT_THAT(env, Contains("FROM_CALLER=yes"));
  EXPECT_THAT(env, Not(Contains(HasSubstr("NOT_THERE"))));
}

TEST(ImageSpec, the_hostname_is_the_short_id_unless_given) {
  auto made = make(image_with({"/e"}, {}), {});
  ASSERT_OK(made);
  EXPECT_EQ(made->spec.hostname, "0123456789ab");
  ImageSource wanted;
  wanted.hostname = "web";
  made = make(image_with({"/e"}, {}), wanted);
  ASSERT_OK(made);
  EXPECT_EQ(made->spec.hostname, "web");
  EXPECT_THAT(made->spec.process->env, Contains("HOSTNAME=web"));
}

TEST(ImageSpec, limits_become_resources) {
  ImageSource wanted;
  wanted.memory = 64U << 20;
  wanted.cpus = 1.5;
  wanted.pids_limit = 10;
  auto made = make(image_with({"/e"}, {}), wanted);
  ASSERT_OK(made);
  const oci::Resources& resources = *made->spec.linux_->resources;
  EXPECT_EQ(resources.memory->limit, 64 << 20);
  EXPECT_EQ(resources.cpu->quota, 150000);
  EXPECT_EQ(resources.cpu->period, 100000U);
  EXPECT_EQ(resources.pids_limit, 10);
}

TEST(ImageSpec, a_mount_on_a_default_place_replaces_the_default) {
  oci::Mount mount;
  mount.destination = "/dev/shm";
  mount.type = "tmpfs";
  mount.source = "mine";
  ImageSource wanted;
  wanted.mounts = {mount};
  auto made = make(image_with({"/e"}, {}), wanted);
  ASSERT_OK(made);
  int found = 0;
  for (const auto& each : made->spec.mounts)
    if (each.destination == "/dev/shm") {
      ++found;
      EXPECT_EQ(each.source, "mine");
    }
  EXPECT_EQ(found, 1);
}

TEST(ImageSpec, the_images_labels_never_become_annotations) {
  oci::ImageConfig image = image_with({"/e"}, {});
  image.config.labels["org.nexcage.runtime"] = "runc";
  image.config.labels["proxmox.storage"] = "zfs:tank";
  auto made = make(image, {});
  ASSERT_OK(made);
  EXPECT_EQ(made->spec.annotations.count("org.nexcage.runtime"), 0U);
  EXPECT_EQ(made->spec.annotations.count("proxmox.storage"), 0U);
}

TEST(ImageSpec, control_characters_of_an_image_are_refused) {
  oci::ImageConfig image = image_with({"/e"}, {});
  image.config.env = {std::string("A=1\0B=2", 7)};
  EXPECT_ERROR(make(image, {}), Errc::InvalidSpec, HasSubstr("/process/env"));
  image.config.env.clear();
  image.config.working_dir = "relative";
  EXPECT_ERROR(make(image, {}), Errc::InvalidSpec, HasSubstr("/process/cwd"));
}

}  // namespace
}  // namespace nexcage::runtime
