#include "nexcage/layerfs/batch.h"

#include <atomic>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "result_matchers.h"

namespace nexcage::layerfs {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class BatchSizes : public ::testing::TestWithParam<std::size_t> {};

TEST_P(BatchSizes, DoesEachItemOnce) {
  std::vector<std::atomic<int>> times(GetParam());
  const BatchResult result = run_batch({.count = GetParam(),
                                        .work = [&](std::size_t i) -> Result<> {
                                          ++times[i];
                                          return {};
                                        },
                                        .load = BatchLoad::kernel});
  ASSERT_EQ(result.items.size(), GetParam());
  EXPECT_OK(result.joined());
  for (const auto& time : times) ASSERT_EQ(time, 1);
}

TEST_P(BatchSizes, NothingStaysWhenOneFails) {
  const std::size_t bad = GetParam() / 2;
  std::mutex mutex;
  std::set<std::size_t> done;
  const BatchResult result = run_batch({.count = GetParam(),
                                        .work = [&](std::size_t i) -> Result<> {
                                          if (i == bad) return fail(Errc::FileError, "broken");
                                          const std::scoped_lock lock(mutex);
                                          done.insert(i);
                                          return {};
                                        },
                                        .undo = [&](std::size_t i) -> Result<> {
                                          EXPECT_EQ(done.erase(i), 1u);
                                          return {};
                                        },
                                        .load = BatchLoad::kernel});
  EXPECT_THAT(done, IsEmpty());
  EXPECT_THAT(result.failed, ElementsAre(bad));
  for (std::size_t i = 0; i < GetParam(); ++i) {
    ASSERT_FALSE(result.items[i].has_value());
    ASSERT_THAT(result.items[i].error().message(),
                i == bad ? HasSubstr("broken")
                         : HasSubstr("because item " + std::to_string(bad + 1) + " failed"));
  }
}

INSTANTIATE_TEST_SUITE_P(Many, BatchSizes, ::testing::Values(1, 10, 100, 1'000, 100'000));

TEST(Batch, ItemsThatStandForThemselvesAreAllTried) {
  std::atomic<int> tried = 0;
  const BatchResult result = run_batch({.count = 50, .work = [&](std::size_t i) -> Result<> {
                                          ++tried;
                                          if (i % 10 == 3)
                                            return fail(Errc::FileError, std::to_string(i));
                                          return {};
                                        }});
  EXPECT_EQ(tried, 50);
  EXPECT_THAT(result.failed, ElementsAre(3, 13, 23, 33, 43));
  EXPECT_ERROR(result.joined(), Errc::FileError, HasSubstr("3"));
  EXPECT_EQ(result.joined().error().also().size(), 4u);
}

TEST(Batch, LastDoneIsFirstUndone) {
  std::vector<std::size_t> undone;
  std::atomic<std::size_t> done = 0;
  const BatchResult result =
      run_batch({.count = 5,
                 .work = [&](std::size_t i) -> Result<> {
                   if (i < 4) {
                     ++done;
                     return {};
                   }
                   while (done < 4) std::this_thread::yield();
                   return fail(Errc::FileError, "last");
                 },
                 .undo = [&](std::size_t i) -> Result<> {
                   undone.push_back(i);
                   return {};
                 },
                 .name = [](std::size_t i) { return "layer " + std::to_string(i); },
                 .load = BatchLoad::kernel});
  EXPECT_THAT(undone, ElementsAre(3, 2, 1, 0));
  EXPECT_ERROR(result.items[0], Errc::LayerError, "undone because layer 4 failed");
}

TEST(Batch, WhatFailsWhileUndoingIsSaid) {
  std::atomic<bool> first_done = false;
  const BatchResult result =
      run_batch({.count = 2,
                 .work = [&](std::size_t i) -> Result<> {
                   if (i == 0) {
                     first_done = true;
                     return {};
                   }
                   while (!first_done) std::this_thread::yield();
                   return fail(Errc::FileError, "second");
                 },
                 .undo = [](std::size_t) -> Result<> { return fail(Errc::InvalidState, "stuck"); },
                 .load = BatchLoad::kernel});
  ASSERT_FALSE(result.items[0].has_value());
  ASSERT_EQ(result.items[0].error().also().size(), 1u);
  EXPECT_THAT(result.items[0].error().also()[0].message(), HasSubstr("stuck"));
  EXPECT_ERROR(result.joined(), Errc::FileError, HasSubstr("second"));
}

TEST(Batch, WorksSideBySide) {
  if (batch_threads(BatchLoad::kernel, 2) < 2) GTEST_SKIP() << "one thread only";
  std::atomic<int> inside = 0;
  const BatchResult result = run_batch({.count = 2,
                                        .work = [&](std::size_t) -> Result<> {
                                          ++inside;
                                          while (inside < 2) std::this_thread::yield();
                                          return {};
                                        },
                                        .load = BatchLoad::kernel});
  EXPECT_OK(result.joined());
}

TEST(Batch, NothingToDo) {
  EXPECT_THAT(run_batch({.count = 0, .work = nullptr}).items, IsEmpty());
  EXPECT_EQ(batch_threads(BatchLoad::processor, 0), 1u);
  EXPECT_LE(batch_threads(BatchLoad::processor, 1'000'000), std::thread::hardware_concurrency());
}

}  // namespace
}  // namespace nexcage::layerfs
