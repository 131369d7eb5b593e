#include "nexcage/vm/protocol/standalone.h"

#include <gtest/gtest.h>

#include "nexcage/sys/plan_codec.h"
#include "result_matchers.h"

namespace nexcage::vm::protocol {
namespace {

using ::testing::HasSubstr;

Standalone example() {
  Volume root;
  root.fstype = "ext4";
  root.source = "nexcage-root";
  Standalone record;
  record.prepare.sources = {Root{.lowers = {}, .upper = {root}}};
  record.prepare.plan = std::string("\0plan", 5);
  record.exec.plan = "further";
  record.stop_signal = 3;
  record.stop_seconds = 7;
  return record;
}

TEST(Standalone, comes_back_as_it_was) {
  const std::string bytes = encode(example());
  const auto again = decode<Standalone>(bytes);
  ASSERT_OK(again);
  EXPECT_EQ(encode(*again), bytes);
  EXPECT_EQ(std::get<Root>(again->prepare.sources[0]).upper[0].source, "nexcage-root");
  EXPECT_EQ(again->exec.plan, "further");
  EXPECT_EQ(again->stop_signal, 3u);
  EXPECT_EQ(again->stop_seconds, 7u);
}

TEST(Standalone, no_part_of_one_is_taken_for_it) {
  const std::string bytes = encode(example());
  for (std::size_t length = 0; length < bytes.size(); ++length)
    EXPECT_FALSE(decode<Standalone>(bytes.substr(0, length))) << length;
  EXPECT_ERROR(decode<Standalone>(bytes + "x"), Errc::RuntimeError, HasSubstr("damaged"));
}

TEST(Standalone, what_is_in_it_is_checked) {
  Standalone record = example();
  record.stop_signal = 0;
  EXPECT_ERROR(decode<Standalone>(encode(record)), Errc::RuntimeError, HasSubstr("number 0"));
  record.stop_signal = 65;
  EXPECT_ERROR(decode<Standalone>(encode(record)), Errc::RuntimeError, HasSubstr("number 65"));
  record = example();
  record.prepare.sources = {Root{}};
  EXPECT_ERROR(decode<Standalone>(encode(record)), Errc::RuntimeError, HasSubstr("without file"));
}

TEST(Standalone, that_of_another_version_says_so) {
  sys::plan::Writer other;
  other.put(encode(Hello{.version = kVersion + 1}));
  other.put(std::string("what only that version knows"));
  EXPECT_ERROR(decode<Standalone>(other.take()), Errc::RuntimeNotAvailable, HasSubstr("version"));
}

}  // namespace
}  // namespace nexcage::vm::protocol
