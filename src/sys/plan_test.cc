#include "nexcage/sys/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nexcage/sys/plan_message.h"
#include "result_matchers.h"

namespace nexcage::sys::plan {
namespace {

using ::testing::HasSubstr;

/// One of each operation, in the order of the variant.
template <std::size_t... I>
std::vector<Operation> one_of_each(std::index_sequence<I...>) {
  return {Operation(std::in_place_index<I>)...};
}

Plan sample() {
  Plan plan;
  plan.operations = one_of_each(std::make_index_sequence<std::variant_size_v<Operation>>{});
  plan.operations.emplace_back(MountFilesystem{.target = "/proc",
                                               .fstype = "proc",
                                               .source = "proc",
                                               .options = {"hidepid=2"},
                                               .attributes = 6,
                                               .propagation = 0,
                                               .copy_up = false,
                                               .plain_target = true});
  plan.operations.emplace_back(
      RunHooks{.point = "createContainer",
               .state_before_pid = "{\"pid\":",
               .state_after_pid = "}",
               .hooks = {{.path = "/h", .args = {"h", "a"}, .env = {"A=b"}, .timeout = 3}}});
  plan.process.args = {"sh", "-c", "exit 7"};
  plan.process.uid = UINT32_MAX - 1;
  plan.process.seccomp = std::string("\0\1\2\377", 4);
  plan.process.io_priority = 5;
  return plan;
}

TEST(Plan, DecodesToWhatWasEncoded) {
  Plan plan = sample();
  auto again = decode(encode(plan));
  ASSERT_OK(again);
  EXPECT_EQ(encode(*again), encode(plan));
  EXPECT_EQ(describe(*again), describe(plan));
  EXPECT_EQ(again->process.seccomp, plan.process.seccomp);
}

TEST(Plan, RefusesEveryTruncation) {
  std::string bytes = encode(sample());
  for (std::size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(decode(std::string_view(bytes).substr(0, size)).has_value()) << size;
}

TEST(Plan, RefusesTrailingBytesAndOtherVersions) {
  std::string bytes = encode(sample());
  EXPECT_ERROR(decode(bytes + "x"), Errc::InvalidConfig, HasSubstr("damaged"));
  bytes[0] = static_cast<char>(bytes[0] + 1);
  EXPECT_ERROR(decode(bytes), Errc::InvalidConfig, HasSubstr("another version"));
}

TEST(Plan, DamagedBytesNeverCrash) {
  const std::string good = encode(sample());
  for (std::size_t i = 0; i < good.size(); ++i)
    for (int bit = 0; bit < 8; ++bit) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ (1 << bit));
      auto plan = decode(bad);
      if (plan) {
        EXPECT_EQ(encode(*plan), bad);
      }
    }
}

TEST(Plan, DescribesOnlyWhatDiffersFromTheDefault) {
  Plan plan;
  plan.operations = {Pivot{}, Pivot{.move_mount = true}};
  plan.process.args = {"true"};
  EXPECT_EQ(describe(plan), "pivot\npivot move_mount=yes\nprocess\n  args=[true]\n");
}

TEST(Failure, RoundTrip) {
  auto failure =
      decode_failure(encode(Failure{.code = 7, .error = 13, .operation = 4, .text = "mount /x"}));
  ASSERT_OK(failure);
  EXPECT_EQ(failure->error, 13);
  EXPECT_EQ(failure->operation, 4);
  EXPECT_EQ(failure->text, "mount /x");
  EXPECT_FALSE(decode_failure("abc").has_value());
}

}  // namespace
}  // namespace nexcage::sys::plan
