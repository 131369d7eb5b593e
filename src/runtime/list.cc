// All containers of a state root, with their present status. Almost all of it is waiting for the
// kernel's answers about each container, so a long list is asked for by several threads.
#include <fcntl.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <span>
#include <system_error>
#include <thread>
#include <utility>

#include "nexcage/base/log.h"
#include "nexcage/runtime/guests.h"
#include "nexcage/runtime/paths.h"
#include "nexcage/runtime/runtime.h"
#include "nexcage/runtime/state_file.h"
#include "nexcage/sys/fs.h"

namespace nexcage::runtime {
namespace {

using backends::Record;

/// Fewer containers are not worth a thread.
constexpr std::size_t kPerThread = 100;
constexpr std::size_t kMostThreads = 4;

/// A part of the list, made by one thread with backends of its own.
struct Part {
  std::vector<Record> records;
  std::vector<Error> unreadable;
};

Part read_part(std::span<const std::string> ids, const Services& with) {
  std::map<std::string, std::unique_ptr<backends::Backend>> opened;
  const auto read = [&](const std::string& id) -> Result<Record> {
    NX_TRY(Record record, load_record(record_dir(id, with.settings), id));
    auto& backend = opened[record.backend];
    if (!backend) {
      NX_TRY(backend, with.open_backend(record.backend));
    }
    NX_CHECK(refresh_status(record, *backend));
    return record;
  };
  Part part;
  for (const std::string& id : ids) {
    auto record = read(id);
    if (record)
      part.records.push_back(*std::move(record));
    else if (record.error().code() != Errc::ContainerNotFound)  // gone meanwhile
      part.unreadable.push_back(std::move(record).error());
  }
  return part;
}

/// Calls act(0) .. act(count - 1) side by side, the first one in this thread.
template <class Act>
void side_by_side(std::size_t count, const Act& act) {
  std::vector<std::jthread> threads;
  for (std::size_t i = 1; i < count; ++i) {
    try {
      threads.emplace_back([&act, i] { act(i); });
    } catch (const std::system_error&) {  // no more threads for this user
      act(i);
    }
  }
  act(0);
}

}  // namespace

Result<std::vector<Record>> list(const Services& with) {
  NX_TRY(UniqueFd root, sys::open_at(AT_FDCWD, with.settings.root, O_RDONLY | O_DIRECTORY));
  NX_TRY(auto ids, sys::list_dir(root.get()));
  std::erase_if(ids, [](const std::string& name) { return !oci::check_container_id(name); });
  NX_TRY(const auto guests, guest_ids(with.settings));
  ids.insert(ids.end(), guests.begin(), guests.end());
  std::ranges::sort(ids);
  const std::size_t most =
      std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, kMostThreads);
  std::vector<Part> parts(std::clamp<std::size_t>(ids.size() / kPerThread, 1, most));
  side_by_side(parts.size(), [&](std::size_t i) {
    const std::size_t from = ids.size() * i / parts.size();
    const std::size_t to = ids.size() * (i + 1) / parts.size();
    parts[i] = read_part(std::span(ids).subspan(from, to - from), with);
  });
  std::vector<Record> records;
  records.reserve(ids.size());
  for (Part& part : parts) {
    std::ranges::move(part.records, std::back_inserter(records));
    for (const Error& error : part.unreadable) log::warning(error.message());
  }
  return records;
}

}  // namespace nexcage::runtime
