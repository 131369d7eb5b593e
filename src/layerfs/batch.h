// The same operation over many items, side by side, all or nothing.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nexcage/base/error.h"

namespace nexcage::layerfs {

/// What most of an item's time is spent on.
enum class BatchLoad : std::uint8_t {
  processor,  // as many threads as there are cores
  kernel,     // system calls that wait (mount, unmount, unlink): some more
};

struct Batch {
  std::size_t count = 0;
  /// Does item i; called at most once for each, from several threads at a time. Child processes
  /// that die with their parent die with its thread: it must wait for them.
  std::function<Result<>(std::size_t)> work;
  /// Takes back what work(i) did, after all work has ended. Without it the items stand for
  /// themselves: each is tried, whatever becomes of the others.
  std::function<Result<>(std::size_t)> undo = nullptr;
  /// What errors call an item.
  std::function<std::string(std::size_t)> name = nullptr;
  BatchLoad load = BatchLoad::processor;
};

/// One result for each item, in the items' order.
struct BatchResult {
  std::vector<Result<>> items;
  std::vector<std::size_t> failed;  // those with an error of their own, ascending

  /// Success, or the first item's own error with those of the others beside it.
  Result<> joined() const;
};

/// With `undo` all or nothing: when one item fails, no further one is begun, and those that were
/// done are undone, last first; then every result is an error: the item's own, or LayerError saying
/// because of which item it was not begun or was undone (with what failed in undoing it).
BatchResult run_batch(const Batch& batch);

/// How many threads do `count` items of this kind.
std::size_t batch_threads(BatchLoad load, std::size_t count);

}  // namespace nexcage::layerfs
