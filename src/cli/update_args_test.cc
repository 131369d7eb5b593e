#include "nexcage/cli/update_args.h"

#include <gmock/gmock.h>

#include "nexcage/cli/duration.h"
#include "result_matchers.h"

namespace nexcage::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

TEST(UpdateArgs, every_option_reaches_its_field) {
  UpdateArgs args;
  args.memory = "64m";
  args.memory_swap = "-1";
  args.memory_reservation = "1024";
  args.cpu_share = "512";
  args.cpu_quota = "-1";
  args.cpu_period = "20000";
  args.cpu_rt_runtime = "5";
  args.cpu_rt_period = "6";
  args.cpuset_cpus = "0-1";
  args.cpuset_mems = "0";
  args.pids_limit = "7";
  args.blkio_weight = "100";
  args.kernel_memory = "9";
  const auto made = args.from_options();
  ASSERT_OK(made);
  EXPECT_EQ(made->memory->limit, 64 << 20);
  EXPECT_EQ(made->memory->swap, -1);
  EXPECT_EQ(made->memory->reservation, 1024);
  EXPECT_EQ(made->memory->kernel, 9);
  EXPECT_EQ(made->cpu->shares, 512u);
  EXPECT_EQ(made->cpu->quota, -1);
  EXPECT_EQ(made->cpu->period, 20000u);
  EXPECT_EQ(made->cpu->realtime_runtime, 5);
  EXPECT_EQ(made->cpu->realtime_period, 6u);
  EXPECT_EQ(made->cpu->cpus, "0-1");
  EXPECT_EQ(made->cpu->mems, "0");
  EXPECT_EQ(made->pids_limit, 7);
  EXPECT_EQ(made->block_io->weight, 100);
}

TEST(UpdateArgs, an_error_names_the_option) {
  const auto refused = [](std::optional<std::string> UpdateArgs::* option, const char* text) {
    UpdateArgs args;
    args.*option = text;
    auto result = args.from_options();
    return result ? std::string("accepted") : result.error().message();
  };
  EXPECT_THAT(refused(&UpdateArgs::memory, "much"), HasSubstr("--memory"));
  EXPECT_THAT(refused(&UpdateArgs::memory, "-2"), HasSubstr("--memory"));
  EXPECT_THAT(refused(&UpdateArgs::cpu_period, "-5"), HasSubstr("--cpu-period"));
  EXPECT_THAT(refused(&UpdateArgs::pids_limit, "64m"), HasSubstr("--pids-limit"));
  EXPECT_THAT(refused(&UpdateArgs::blkio_weight, "70000"), HasSubstr("--blkio-weight"));
  EXPECT_THAT(refused(&UpdateArgs::cpuset_cpus, "all"), HasSubstr("--cpuset-cpus"));
}

TEST(UpdateArgs, no_option_is_lost_beside_a_file) {
  UpdateArgs args;
  args.resources_file = "/nonexistent";
  args.pids_limit = "5";
  EXPECT_ERROR(args.resources(), Errc::InvalidSpec,
               AllOf(HasSubstr("--pids-limit"), HasSubstr("--resources")));
  args.pids_limit.reset();
  EXPECT_ERROR(args.resources(), Errc::FileError, HasSubstr("/nonexistent"));
  args.mem_bw_schema = "MB:0=20";
  EXPECT_ERROR(args.resources(), Errc::Unsupported, HasSubstr("RDT"));
}

TEST(Duration, as_go_reads_it) {
  EXPECT_EQ(*parse_duration("5s"), 5s);
  EXPECT_EQ(*parse_duration("1m30s"), 90s);
  EXPECT_EQ(*parse_duration("1.5h"), 90min);
  EXPECT_EQ(*parse_duration("300ms"), 300ms);
  EXPECT_EQ(*parse_duration("2us"), 2us);
  for (const char* text : {"", "5", "-5s", "s", "5 s", "1e3s", "nan s", "9999999h"})
    EXPECT_ERROR(parse_duration(text), Errc::InvalidSpec, HasSubstr("span of time"));
}

}  // namespace
}  // namespace nexcage::cli
