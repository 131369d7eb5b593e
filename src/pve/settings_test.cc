#include "nexcage/pve/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "guest_spec_maker.h"
#include "nexcage/pve/difference.h"
#include "nexcage/pve/line.h"
#include "result_matchers.h"

namespace nexcage::pve {
namespace {

using ::testing::HasSubstr;
using Testing = nexcage::testing::GuestSpecMaker;

MapTarget target(Version version = {9, 2}) { return {.version = version, .baked = {}}; }

oci::Spec plain() {
  oci::Spec spec = oci::default_spec();
  spec.process->args = {"/bin/app", "it's \"quoted\""};
  spec.root->readonly = false;
  return spec;
}

TEST(Settings, FiveHundredRandomSpecsComeBackEqual) {
  for (unsigned seed = 1; seed <= 500; ++seed) {
    SCOPED_TRACE(seed);
    const oci::Spec spec = Testing(seed).make();
    const auto mapped = to_settings(spec, target());
    ASSERT_TRUE(mapped) << mapped.error().message();
    const auto again = to_spec(mapped->params, mapped->rest);
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_EQ(first_difference(oci::to_json(normalised(spec)), oci::to_json(*again)), std::nullopt);
  }
}

TEST(Settings, WhatHasNoSettingIsRefusedByName) {
  const auto refused = [](const auto& change) {
    oci::Spec spec = plain();
    change(spec);
    const auto mapped = to_settings(spec, target());
    return mapped ? std::string("accepted")
                  : std::string(errc_name(mapped.error().code())) + " " + mapped.error().message();
  };
  EXPECT_THAT(refused([](oci::Spec& s) { s.linux_->sysctl["kernel.x"] = "1"; }),
              HasSubstr("Unsupported /linux/sysctl"));
  EXPECT_THAT(refused([](oci::Spec& s) { s.linux_->resources->pids_limit = 7; }),
              HasSubstr("/linux/resources/pids"));
  EXPECT_THAT(refused([](oci::Spec& s) { s.process->terminal = true; }),
              HasSubstr("/process/terminal"));
  EXPECT_THAT(refused([](oci::Spec& s) { s.process->rlimits.push_back({"RLIMIT_CORE", 0, 0}); }),
              HasSubstr("/process/rlimits"));
  EXPECT_THAT(refused([](oci::Spec& s) { s.linux_->resources->cpu.emplace().cpus = "0-1"; }),
              HasSubstr("/linux/resources/cpu"));
  EXPECT_THAT(refused([](oci::Spec& s) { s.linux_->namespaces.pop_back(); }),
              HasSubstr("/linux/namespaces"));
  EXPECT_THAT(
      refused([](oci::Spec& s) { s.mounts.push_back({"/t", "tmpfs", "tmpfs", {}, {}, {}}); }),
      HasSubstr("Unsupported /mounts/7"));
  EXPECT_THAT(
      refused([](oci::Spec& s) { s.linux_->resources->memory.emplace().limit = 20'000'001; }),
      HasSubstr("InvalidConfig /linux/resources/memory/limit"));
}

TEST(Settings, ControlCharactersAreRefusedWhereALineIsWritten) {
  for (const std::string bad : {"a\nlxc.hook.start=/x", "a\rb", "a\tb", "a\x7F", "a\xC2\x85z"}) {
    SCOPED_TRACE(bad);
    oci::Spec spec = plain();
    spec.annotations["org.nexcage.proxmox.net0"] = "name=" + bad;
    EXPECT_ERROR(to_settings(spec, target()), Errc::InvalidConfig, ::testing::_);
    spec = plain();
    spec.mounts.push_back({"/t", "bind", "/srv/" + bad, {"rbind"}, {}, {}});
    EXPECT_ERROR(to_settings(spec, target()), Errc::InvalidConfig, ::testing::_);
    spec = plain();
    spec.hostname = bad;
    EXPECT_ERROR(to_settings(spec, target()), Errc::InvalidConfig, ::testing::_);
    // A variable goes into the launcher's record instead, as Base64.
    spec = plain();
    spec.process->env = {"A=" + bad};
    const auto mapped = to_settings(spec, target());
    ASSERT_TRUE(mapped);
    for (const std::string& entry : split_env(mapped->params.at("env")))
      EXPECT_OK(check_line("env", entry));
  }
}

TEST(Settings, AReleaseWithoutEntrypointRunsWhatTheTemplateSays) {
  const oci::Spec spec = plain();
  EXPECT_ERROR(to_settings(spec, target({8, 4})), Errc::Unsupported, ::testing::_);
  MapTarget old = target({8, 4});
  old.baked = Baked{.launch = {.args = spec.process->args, .no_new_privileges = true},
                    .env = spec.process->env};
  const auto mapped = to_settings(spec, old);
  ASSERT_TRUE(mapped) << mapped.error().message();
  EXPECT_FALSE(mapped->params.contains("env") || mapped->params.contains("entrypoint"));
  const auto again = to_spec(mapped->params, mapped->rest);
  ASSERT_TRUE(again);
  EXPECT_EQ(first_difference(oci::to_json(normalised(spec)), oci::to_json(*again)), std::nullopt);
}

TEST(Settings, WhatTheServerFillsInIsNoValueOfTheSpec) {
  const auto mapped = to_settings(plain(), target());
  ASSERT_TRUE(mapped);
  Params read = mapped->params;
  read["memory"] = "512";
  read["swap"] = "512";
  const auto again = to_spec(read, mapped->rest);
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->linux_->resources->memory);
}

TEST(Settings, CpuLimitsAreExact) {
  oci::Spec spec = plain();
  spec.linux_->resources->cpu.emplace().quota = 150'001;
  spec.linux_->resources->cpu->period = 100'000;
  const auto mapped = to_settings(spec, target());
  ASSERT_TRUE(mapped);
  EXPECT_EQ(mapped->params.at("cpulimit"), "1.50001");
  spec.linux_->resources->cpu->period = 50'000;
  EXPECT_ERROR(to_settings(spec, target()), Errc::Unsupported, ::testing::_);
}

}  // namespace
}  // namespace nexcage::pve
