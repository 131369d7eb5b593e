#include "nexcage/runtime/undo.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <ranges>
#include <utility>

#include "nexcage/base/log.h"
#include "nexcage/base/text.h"
#include "nexcage/json/value.h"
#include "nexcage/network/network.h"
#include "nexcage/runtime/exchange.h"
#include "nexcage/runtime/generations.h"
#include "nexcage/runtime/undo_state.h"
#include "nexcage/sys/cgroup.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/mount.h"
#include "nexcage/sys/process.h"
#include "nexcage/sys/tap.h"

namespace nexcage::runtime {
namespace {

using Kind = UndoEntry::Kind;

constexpr std::chrono::seconds kKillTimeout{10};
constexpr std::chrono::seconds kForeignTime{60};  // it may have hooks to run

bool known(char kind) {
  switch (static_cast<Kind>(kind)) {
    case Kind::mount:
    case Kind::dir:
    case Kind::file:
    case Kind::cgroup:
    case Kind::process:
    case Kind::network:
    case Kind::foreign:
    case Kind::unit:
    case Kind::layers:
    case Kind::preparation:
    case Kind::volume:
    case Kind::state:
    case Kind::redirection:
    case Kind::exchange:
    case Kind::discarded:
      return true;
  }
  return false;
}

UndoEntry process_entry(const sys::ProcessId& id) {
  return {Kind::process, std::to_string(id.pid) + " " + std::to_string(id.start_time)};
}

Result<> undo_process(const std::string& argument) {
  const auto space = argument.find(' ');
  const auto pid = parse_i64(argument.substr(0, space));
  const auto start =
      space == std::string::npos ? std::nullopt : parse_u64(argument.substr(space + 1));
  if (!pid || !start || *pid <= 1) return {};  // a damaged record must never kill anything
  NX_TRY(auto pidfd, sys::open_process({static_cast<pid_t>(*pid), *start}));
  if (!pidfd) return {};
  NX_TRY(bool sent, sys::send_signal(pidfd->get(), SIGKILL));
  if (!sent) return {};
  NX_TRY(bool ended, sys::wait_exit(pidfd->get(), kKillTimeout));
  if (!ended) return fail(Errc::Timeout, "process " + argument + " does not end after SIGKILL");
  return {};
}

/// A place and the command that takes away what is there, as one argument.
struct PlaceAndCommand {
  std::string place;
  sys::Command command;
};

std::string encode(const std::string& place, const std::vector<std::string>& argv) {
  json::Array words;
  words.emplace_back(place);
  for (const std::string& word : argv) words.emplace_back(word);
  return json::dump(json::Value(std::move(words)));
}

/// nullopt for a damaged record.
std::optional<PlaceAndCommand> decode(const std::string& argument) {
  auto record = json::parse(argument);
  const json::Array* words = record ? record->if_array() : nullptr;
  if (words == nullptr || words->size() < 2) return std::nullopt;
  PlaceAndCommand out;
  out.command.inherit_env = true;
  for (const json::Value& word : *words) {
    if (word.if_string() == nullptr) return std::nullopt;
    out.command.argv.push_back(*word.if_string());
  }
  out.place = std::move(out.command.argv.front());
  out.command.argv.erase(out.command.argv.begin());
  return out;
}

void run_removal(const sys::Command& command) {
  auto output = sys::run(command, "", kForeignTime);
  if (!output)
    log::warning(output.error().message());
  else if (output->status != 0)
    log::debug(command.argv.front() + ": " + std::string(trim(output->err)));
}

/// The other runtime takes its container away; of one that was cut short in its making it may know
/// nothing, or too little to succeed, so what is left of the directory goes in any case.
Result<> undo_foreign(const std::string& argument) {
  const auto recorded = decode(argument);
  if (!recorded) return {};
  NX_TRY(const bool there, sys::exists(AT_FDCWD, recorded->place));
  if (!there) return {};
  run_removal(recorded->command);
  return sys::remove_tree(recorded->place);
}

/// systemd first: it removes its directories itself, and has to forget the unit. The slice stays.
Result<> undo_unit(const std::string& argument) {
  const auto recorded = decode(argument);
  if (!recorded) return {};
  NX_TRY(auto layout, sys::detect_cgroups());
  const sys::Cgroup cgroup(layout, recorded->place);
  NX_CHECK(cgroup.signal_all(SIGKILL));
  run_removal(recorded->command);
  return cgroup.destroy(kKillTimeout, false);
}

Result<> undo_cgroup(const std::string& path) {
  NX_TRY(auto layout, sys::detect_cgroups());
  return sys::Cgroup(layout, path).destroy(kKillTimeout);
}

/// A damaged record, or one of a driver that this build does not know, names nothing to undo.
Result<> undo_layers(const std::string& argument) {
  const auto recorded = json::parse(argument);
  const json::Value* mount = recorded ? recorded->find("mount") : nullptr;
  if (mount == nullptr) return {};
  const auto record = layerfs::mount_record_from_json(*mount);
  if (!record) return {};
  return layerfs::undo_mount(recorded->text("root"), *record);
}

/// What preparing left half made; a damaged record names nothing.
Result<> undo_preparation(const std::string& argument) {
  const auto recorded = json::parse(argument);
  if (!recorded) return {};
  return layerfs::sweep(recorded->text("root"), recorded->text("driver"));
}

Result<> undo_volume(const std::string& argument) {
  const auto recorded = json::parse(argument);
  if (!recorded) return {};
  const auto volume = storage::volume_from_json(*recorded);
  if (!volume) return {};
  return storage::remove_volume(*volume);
}

/// A damaged record names nothing.
Result<> undo_redirection(const std::string& argument) {
  const auto recorded = sys::redirection_from(argument);
  if (!recorded) return {};
  return sys::end_redirection(*recorded);
}

/// As the holder of the container: an update that was killed is taken back before, and nobody
/// starts the container meanwhile.
Result<> undo_discarded(const std::string& argument) {
  const auto recorded = json::parse(argument);
  if (!recorded) return {};
  NX_TRY(FileUndoLog log, FileUndoLog::create(recorded->text("logs"), recorded->text("id")));
  NX_CHECK(remove_discarded(recorded->text("bundle")));
  return log.commit();
}

Result<> undo_file(const std::string& path) { return sys::remove_file(AT_FDCWD, path); }

Result<> undo_all(const std::vector<UndoEntry>& entries) {
  Result<> first;
  for (const UndoEntry& entry : entries | std::views::reverse) {
    auto done = undo(entry);
    if (done) continue;
    if (first)
      first = std::move(done);
    else
      first = fail(std::move(first).error().also(std::move(done).error()));
  }
  return first;
}

/// The name still leads to the file that is locked, and not to a newer one?
bool is_linked(int fd, const std::string& path) {
  struct stat held{}, named{};
  return fstat(fd, &held) == 0 && lstat(path.c_str(), &named) == 0 && held.st_ino == named.st_ino &&
         held.st_dev == named.st_dev;
}

/// Finishes the log at `path` if its writer is dead. False: a live process holds it.
Result<bool> finish_dead(const std::string& path) {
  auto opened = sys::open_at(AT_FDCWD, path, O_RDWR | O_NOFOLLOW);
  if (!opened) {
    if (opened.error().sys_errno() == ENOENT) return true;
    return std::unexpected(std::move(opened).error());
  }
  const UniqueFd fd = std::move(*opened);
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return false;
    return fail_errno("lock " + path);
  }
  if (!is_linked(fd.get(), path)) return true;
  NX_TRY(std::string text, sys::read_all(fd.get()), "read " + path);
  log::debug("finish the roll-back of " + path);
  NX_CHECK(undo_all(decode_undo_log(text)), "roll back " + path);
  NX_CHECK(undo_file(path));
  return true;
}

/// A locked, empty file under a temporary name: it becomes visible only by a link, so nobody ever
/// sees a log that is not locked by its writer.
Result<std::pair<UniqueFd, std::string>> locked_temporary(const std::string& dir,
                                                          const std::string& name) {
  std::string path = dir + "/@" + name + "." + std::to_string(getpid());
  NX_CHECK(undo_file(path));
  while (true) {
    NX_TRY(UniqueFd fd, sys::open_at(AT_FDCWD, path, O_RDWR | O_CREAT | O_EXCL | O_APPEND, 0600));
    while (flock(fd.get(), LOCK_EX) != 0)
      if (errno != EINTR) return fail_errno("lock " + path);
    if (is_linked(fd.get(), path)) return std::pair(std::move(fd), std::move(path));
    // Another command's recovery took it for a dead writer's before it was locked.
  }
}

}  // namespace

std::string encode(const UndoEntry& entry) {
  std::string text(1, static_cast<char>(entry.kind));
  text += entry.argument;
  text += '\0';
  return text;
}

std::vector<UndoEntry> decode_undo_log(std::string_view text) {
  std::vector<UndoEntry> entries;
  for (auto end = text.find('\0'); end != std::string_view::npos; end = text.find('\0')) {
    const std::string_view record = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (record.empty() || !known(record[0])) continue;
    entries.push_back({static_cast<Kind>(record[0]), std::string(record.substr(1))});
  }
  return entries;
}

Result<> undo(const UndoEntry& entry) {
  switch (entry.kind) {
    case Kind::mount:
      return sys::unmount(entry.argument);
    case Kind::dir:
      return sys::remove_tree(entry.argument);
    case Kind::file:
      return undo_file(entry.argument);
    case Kind::cgroup:
      return undo_cgroup(entry.argument);
    case Kind::process:
      return undo_process(entry.argument);
    case Kind::network:
      return network::detach(entry.argument);
    case Kind::foreign:
      return undo_foreign(entry.argument);
    case Kind::unit:
      return undo_unit(entry.argument);
    case Kind::layers:
      return undo_layers(entry.argument);
    case Kind::preparation:
      return undo_preparation(entry.argument);
    case Kind::volume:
      return undo_volume(entry.argument);
    case Kind::state:
      return undo_state(entry.argument);
    case Kind::redirection:
      return undo_redirection(entry.argument);
    case Kind::exchange:
      return undo_exchange(entry.argument);
    case Kind::discarded:
      return undo_discarded(entry.argument);
  }
  return {};
}

Result<FileUndoLog> FileUndoLog::create(const std::string& undo_dir, const std::string& name) {
  const std::string path = undo_dir + "/" + name;
  NX_TRY(auto temporary, locked_temporary(undo_dir, name), "undo log of " + name);
  const std::string& hidden = temporary.second;
  // A dead process's log is finished and the name tried again; each round another may win it.
  for (int round = 0; round < 10; ++round) {
    if (link(hidden.c_str(), path.c_str()) == 0) {
      NX_CHECK(undo_file(hidden));
      return FileUndoLog(path, std::move(temporary.first));
    }
    if (errno != EEXIST) {
      auto error = fail_errno("create " + path);
      (void)undo_file(hidden);
      return error;
    }
    auto finished = finish_dead(path);
    if (!finished || !*finished) {
      (void)undo_file(hidden);
      if (!finished) return std::unexpected(std::move(finished).error());
      return fail(Errc::ContainerExists,
                  "container " + name + " is being created or removed by another command");
    }
  }
  (void)undo_file(hidden);
  return fail(Errc::ContainerExists, "container " + name + " is contended");
}

FileUndoLog::FileUndoLog(std::string path, UniqueFd fd)
    : path_(std::move(path)), fd_(std::move(fd)) {}

FileUndoLog::FileUndoLog(FileUndoLog&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::move(other.fd_)) {}

FileUndoLog& FileUndoLog::operator=(FileUndoLog&& other) noexcept {
  if (this == &other) return *this;
  if (auto done = roll_back(); !done) log::error(done.error());
  path_ = std::move(other.path_);
  fd_ = std::move(other.fd_);
  return *this;
}

FileUndoLog::~FileUndoLog() {
  if (auto done = roll_back(); !done) log::warning(done.error().message());
}

Result<> FileUndoLog::record(const UndoEntry& entry) {
  NX_CHECK(sys::write_all(fd_.get(), encode(entry)), "write " + path_);
  return {};
}

Result<> FileUndoLog::will_mount(const std::string& path) { return record({Kind::mount, path}); }
Result<> FileUndoLog::will_create_dir(const std::string& path) { return record({Kind::dir, path}); }
Result<> FileUndoLog::will_create_file(const std::string& path) {
  return record({Kind::file, path});
}
Result<> FileUndoLog::will_create_cgroup(const std::string& relative_path) {
  return record({Kind::cgroup, relative_path});
}
Result<> FileUndoLog::will_run_process(const sys::ProcessId& id) {
  return record(process_entry(id));
}

Result<> FileUndoLog::will_attach_network(const std::string& directory) {
  return record({Kind::network, directory});
}

Result<> FileUndoLog::will_mount_layers(const std::string& root,
                                        const layerfs::MountRecord& mount) {
  json::Object object;
  object.set("root", root);
  object.set("mount", layerfs::to_json(mount));
  return record({Kind::layers, json::dump(object)});
}

Result<> FileUndoLog::will_prepare_layers(const std::string& root, const std::string& driver) {
  json::Object object;
  object.set("root", root);
  object.set("driver", driver);
  return record({Kind::preparation, json::dump(object)});
}

Result<> FileUndoLog::will_make_volume(const storage::Volume& volume) {
  return record({Kind::volume, json::dump(storage::to_json(volume))});
}

Result<> FileUndoLog::will_create_foreign(const backends::Foreign& container) {
  return record({Kind::foreign, encode(container.state_dir, container.remove)});
}

Result<> FileUndoLog::will_create_unit(const backends::Unit& unit) {
  return record({Kind::unit, encode(unit.cgroup, unit.stop)});
}

Result<> FileUndoLog::will_redirect(const sys::Redirection& redirection) {
  return record({Kind::redirection, sys::to_text(redirection)});
}

Result<> FileUndoLog::will_reuse_state(const std::string& state_dir, const std::string& record) {
  return this->record({Kind::state, encode_state(state_dir, record)});
}

Result<> FileUndoLog::will_exchange(const std::string& bundle) {
  return record({Kind::exchange, bundle});
}

Result<> FileUndoLog::will_discard(const std::string& id, const std::string& bundle) {
  json::Object object;
  object.set("logs", path_.substr(0, path_.rfind('/')));
  object.set("id", id);
  object.set("bundle", bundle);
  return record({Kind::discarded, json::dump(object)});
}

Result<std::size_t> FileUndoLog::position() const {
  const off_t end = ::lseek(fd_.get(), 0, SEEK_END);
  if (end < 0) return fail_errno("find the end of " + path_);
  return static_cast<std::size_t>(end);
}

Result<> FileUndoLog::forget_since(std::size_t position) {
  if (::ftruncate(fd_.get(), static_cast<off_t>(position)) != 0)
    return fail_errno("shorten " + path_);
  return {};
}

Result<> FileUndoLog::hand_over(const std::string& name, const sys::ProcessId& id) const {
  const std::string path = path_.substr(0, path_.rfind('/') + 1) + name;
  const auto gone = [&] { return fail(Errc::InvalidState, "the command that asked has ended"); };
  auto fd = sys::open_at(AT_FDCWD, path, O_WRONLY | O_APPEND | O_NOFOLLOW);
  if (!fd && fd.error().sys_errno() == ENOENT) return gone();
  if (!fd) return fail(std::move(fd).error());
  NX_CHECK(sys::write_all(fd->get(), encode(process_entry(id))), "write " + path);
  // Finished by another command before that saw the record?
  if (!is_linked(fd->get(), path)) return gone();
  return {};
}

Result<> FileUndoLog::commit() {
  if (!fd_) return {};
  NX_CHECK(undo_file(path_), "commit " + path_);
  fd_.reset();
  return {};
}

/// From the file: others may have written to it, too.
Result<> FileUndoLog::undo_recorded() {
  if (::lseek(fd_.get(), 0, SEEK_SET) != 0) return fail_errno("read " + path_);
  NX_TRY(const std::string text, sys::read_all(fd_.get()), "read " + path_);
  return undo_all(decode_undo_log(text));
}

Result<> FileUndoLog::undo_so_far() {
  NX_CHECK(undo_recorded(), "roll back " + path_);
  // Only now: until here a crash has the next command undo it all once more.
  if (::ftruncate(fd_.get(), 0) != 0) return fail_errno("empty " + path_);
  return {};
}

Result<> FileUndoLog::roll_back() {
  if (!fd_) return {};
  auto done = undo_recorded();
  if (done) done = undo_file(path_);
  fd_.reset();
  if (!done) return fail(std::move(done).error().wrap("roll back " + path_));
  return {};
}

void recover(const std::string& undo_dir) {
  auto dir = sys::open_at(AT_FDCWD, undo_dir, O_RDONLY | O_DIRECTORY);
  if (!dir) return;
  auto names = sys::list_dir(dir->get());
  if (!names) {
    log::warning(names.error().message());
    return;
  }
  for (const std::string& name : *names)
    if (auto done = finish_dead(undo_dir + "/" + name); !done) log::warning(done.error().message());
}

}  // namespace nexcage::runtime
