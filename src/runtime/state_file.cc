#include "nexcage/runtime/state_file.h"

#include <fcntl.h>

#include <cerrno>
#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/read_once.h"

namespace nexcage::runtime {
namespace {

Result<std::string> string_member(const json::Value& value, std::string_view name) {
  const json::Value* member = value.find(name);
  if (member != nullptr)
    if (const std::string* text = member->if_string()) return *text;
  return fail(Errc::InvalidJson, "state.json: /" + std::string(name) + " is no string");
}

Result<std::uint64_t> number_member(const json::Value& value, std::string_view name) {
  const json::Value* member = value.find(name);
  if (member != nullptr)
    if (auto number = member->as_u64()) return *number;
  return fail(Errc::InvalidJson, "state.json: /" + std::string(name) + " is no number");
}

}  // namespace

json::Value to_json(const backends::Record& record) {
  json::Value value = oci::to_json(record.state);
  json::Object& object = *value.if_object();
  object.set("initStartTime", record.init.start_time);
  object.set("backend", record.backend);
  object.set("rootfs", record.rootfs);
  object.set("created", record.created);
  object.set("terminal", record.terminal);
  object.set("backendData", record.backend_data);
  return value;
}

Result<backends::Record> parse_record(const json::Value& value) {
  backends::Record record;
  NX_TRY(record.state, oci::parse_state(value));
  NX_TRY(record.init.start_time, number_member(value, "initStartTime"));
  NX_TRY(record.backend, string_member(value, "backend"));
  NX_TRY(record.rootfs, string_member(value, "rootfs"));
  NX_TRY(record.created, string_member(value, "created"));
  record.init.pid = record.state.pid;
  if (const json::Value* terminal = value.find("terminal"))
    if (const bool* yes = terminal->if_bool()) record.terminal = *yes;
  if (const json::Value* data = value.find("backendData")) record.backend_data = *data;
  return record;
}

std::string ended_text(backends::Record record) {
  record.state.status = oci::Status::stopped;
  record.state.pid = 0;
  record.init = {};
  return json::dump(to_json(record), json::Style::compact) + "\n";
}

bool is_taken_down(const backends::Record& record) {
  return record.state.status == oci::Status::stopped && record.init.pid == 0;
}

Result<> save_record(const backends::Record& record) {
  return sys::write_file_atomic(record.state_dir + "/state.json",
                                json::dump(to_json(record), json::Style::compact) + "\n", 0600,
                                sys::Durable::no);
}

Result<> save_guest(const backends::Record& record) {
  return write_document(record.state_dir + "/state.json", to_json(record));
}

Result<> write_document(const std::string& path, const json::Value& document) {
  return sys::write_file_atomic(path, json::dump(document) + "\n", 0600, sys::Durable::yes);
}

Result<backends::Record> load_record(const std::string& state_dir, const std::string& id) {
  auto text = sys::read_once(state_dir + "/state.json");
  if (!text) {
    if (text.error().sys_errno() != ENOENT) return std::unexpected(std::move(text).error());
    return fail(Error(Errc::ContainerNotFound, "container " + quote(id) + " does not exist")
                    .hint("`nexcage list` shows the containers of this --root"));
  }
  NX_TRY(json::Value value, json::parse(*text), "state of " + id);
  NX_TRY(backends::Record record, parse_record(value), "state of " + id);
  record.state_dir = state_dir;
  return record;
}

Result<> refresh_status(backends::Record& record, const backends::Backend& backend) {
  if (is_taken_down(record)) return {};
  NX_TRY(record.state.status, backend.status(record));
  if (auto data = backend.moved(record)) record.backend_data = std::move(*data);
  record.state.pid = record.state.status == oci::Status::stopped ? 0 : record.init.pid;
  record.details = backend.details(record);
  return {};
}

Result<sys::FileLock> lock_container(const backends::Record& record) {
  constexpr int kTimeoutMs = 10'000;
  NX_TRY(UniqueFd dir, sys::open_at(AT_FDCWD, record.state_dir, O_RDONLY | O_DIRECTORY));
  return sys::FileLock::acquire(dir.get(), "lock", sys::FileLock::Kind::exclusive, kTimeoutMs);
}

}  // namespace nexcage::runtime
