#include "nexcage/runtime/undo_state.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

#include "nexcage/json/value.h"
#include "nexcage/sys/fs.h"

namespace nexcage::runtime {
namespace {

constexpr const char* kRecord = "state.json";
constexpr std::array<std::string_view, 3> kKept = {kRecord, "config.json", "lock"};

}  // namespace

std::string encode_state(const std::string& state_dir, const std::string& record) {
  json::Object object;
  object.set("dir", state_dir);
  object.set("record", record);
  return json::dump(object);
}

Result<> undo_state(const std::string& argument) {
  const auto recorded = json::parse(argument);
  if (!recorded) return {};
  const std::string path = recorded->text("dir"), record = recorded->text("record");
  if (!path.starts_with('/') || record.empty()) return {};
  auto dir = sys::open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!dir && dir.error().sys_errno() == ENOENT) return {};
  if (!dir) return fail(std::move(dir).error());
  NX_CHECK(sys::write_file_atomic(dir->get(), kRecord, record, 0600, sys::Durable::no));
  NX_TRY(const auto names, sys::list_dir(dir->get()));
  for (const std::string& name : names)
    if (std::ranges::find(kKept, name) == kKept.end()) NX_CHECK(sys::remove_tree(dir->get(), name));
  return {};
}

}  // namespace nexcage::runtime
