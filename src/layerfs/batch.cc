#include "nexcage/layerfs/batch.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <new>
#include <ranges>
#include <system_error>
#include <thread>
#include <utility>

namespace nexcage::layerfs {
namespace {

/// Beside the cores, for calls that wait for the kernel's locks and grace periods (measured: more
/// bring nothing).
constexpr std::size_t kKernelFactor = 4;
constexpr std::size_t kMostThreads = 32;

enum class Step : std::uint8_t { not_begun, failed, done };

/// One run of run_batch.
class Run {
 public:
  explicit Run(const Batch& batch)
      : batch_(batch), steps_(batch.count, Step::not_begun), results_(batch.count) {}

  BatchResult all() {
    const std::size_t threads = batch_threads(batch_.load, batch_.count);
    {
      std::vector<std::jthread> helpers;
      for (std::size_t i = 1; i < threads; ++i) {
        try {
          helpers.emplace_back([this] { work(); });
        } catch (const std::system_error&) {
          break;  // a limit on processes: those that are there do the work
        }
      }
      work();
    }
    BatchResult result;
    for (std::size_t i = 0; i < batch_.count; ++i)
      if (steps_[i] == Step::failed) result.failed.push_back(i);
    if (batch_.undo && !result.failed.empty()) take_back();
    result.items = std::move(results_);
    return result;
  }

 private:
  static constexpr std::size_t kNobody = SIZE_MAX;

  void work() {
    while (!(batch_.undo && failed_ != kNobody)) {
      const std::size_t item = next_.fetch_add(1);
      if (item >= batch_.count) return;
      results_[item] = attempt(batch_.work, item);
      steps_[item] = results_[item] ? Step::done : Step::failed;
      if (results_[item]) continue;
      std::size_t before = kNobody;
      failed_.compare_exchange_strong(before, item);
    }
  }

  /// An exception (no memory) must not leave a thread.
  Result<> attempt(const std::function<Result<>(std::size_t)>& what, std::size_t item) const {
    try {
      return what(item);
    } catch (const std::bad_alloc&) {
      return fail(Errc::OutOfMemory, name(item));
    }
  }

  void take_back() {
    const std::string because = " because " + name(failed_) + " failed";
    for (std::size_t i = batch_.count; i-- > 0;) {
      if (steps_[i] == Step::failed) continue;
      if (steps_[i] == Step::not_begun) {
        results_[i] = fail(Errc::LayerError, "not begun" + because);
        continue;
      }
      Error error(Errc::LayerError, "undone" + because);
      if (auto gone = attempt(batch_.undo, i); !gone)
        error = std::move(error).also(std::move(gone).error());
      results_[i] = fail(std::move(error));
    }
  }

  std::string name(std::size_t item) const {
    return batch_.name ? batch_.name(item) : "item " + std::to_string(item + 1);
  }

  const Batch& batch_;
  std::atomic<std::size_t> next_ = 0;
  std::atomic<std::size_t> failed_ = kNobody;  // the first that failed
  std::vector<Step> steps_;
  std::vector<Result<>> results_;
};

}  // namespace

std::size_t batch_threads(BatchLoad load, std::size_t count) {
  const std::size_t cores = std::max(1U, std::thread::hardware_concurrency());
  const std::size_t most = load == BatchLoad::processor ? cores : cores * kKernelFactor;
  return std::clamp<std::size_t>(count, 1, std::min(most, kMostThreads));
}

BatchResult run_batch(const Batch& batch) { return Run(batch).all(); }

Result<> BatchResult::joined() const {
  if (failed.empty()) return {};
  Error first = items[failed.front()].error();
  for (const std::size_t other : failed | std::views::drop(1))
    first = std::move(first).also(items[other].error());
  return fail(std::move(first));
}

}  // namespace nexcage::layerfs
