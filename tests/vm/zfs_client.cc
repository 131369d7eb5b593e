// The ZFS client on a command line, for tests with a real pool:
//
//   nx_zfs_client PARENT CALL [ARGUMENT...]
//
// Writes {"value": ...} or {"error": {...}} as JSON. Datasets are paths below PARENT, properties
// are the arguments at the end, "name=value". $NX_ZFS and $NX_ZPOOL replace the programs.
#include <fcntl.h>
#include <sys/mount.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>

#include "nexcage/base/text.h"
#include "nexcage/json/value.h"
#include "nexcage/storage/zfs/client.h"
#include "nexcage/storage/zfs/volume.h"
#include "nexcage/sys/fs.h"

namespace nexcage::storage::zfs {
namespace {

/// The arguments of one call, taken from the left.
class Words {
 public:
  Words(const Client& client, std::vector<std::string> words)
      : client_(client), words_(std::move(words)) {}

  bool more() const { return at_ < words_.size(); }
  std::string next() { return more() ? words_[at_++] : std::string(); }
  bool next_is(std::string_view word) { return next() == word; }
  Result<Dataset> dataset() { return client_.parent().child(next()); }
  Result<Snapshot> snapshot() {
    NX_TRY(const Dataset of, dataset());
    return of.snapshot(next());
  }
  std::uint64_t number() { return parse_u64(next()).value_or(0); }
  std::chrono::milliseconds time() { return std::chrono::milliseconds(number()); }
  std::vector<std::string> rest() {
    std::vector<std::string> out;
    while (more()) out.push_back(next());
    return out;
  }
  Properties properties() {
    Properties out;
    for (const std::string& word : rest()) {
      const std::size_t sign = word.find('=');
      out.emplace_back(word.substr(0, sign), word.substr(sign + 1));
    }
    return out;
  }

 private:
  const Client& client_;
  std::vector<std::string> words_;
  std::size_t at_ = 0;
};

Result<json::Value> nothing(Result<> done) {
  if (!done) return fail(std::move(done).error());
  return json::Value();
}

template <class T>
Result<json::Value> value(Result<T> done) {
  if (!done) return fail(std::move(done).error());
  return json::Value(*std::move(done));
}

json::Value to_json(const SnapshotInfo& info) {
  json::Object out;
  out.set("label", info.label);
  out.set("created", info.created);
  out.set("used", info.used);
  out.set("referenced", info.referenced);
  out.set("clones", info.clones);
  return out;
}

json::Value to_json(const DatasetInfo& info) {
  json::Object out;
  out.set("path", info.path);
  out.set("is_volume", info.is_volume);
  out.set("used", info.used);
  out.set("available", info.available);
  out.set("referenced", info.referenced);
  out.set("mountpoint", info.mountpoint);
  out.set("origin", info.origin);
  return out;
}

json::Value to_json(const PoolInfo& info) {
  json::Object out;
  out.set("name", info.name);
  out.set("health", info.health);
  out.set("size", info.size);
  out.set("allocated", info.allocated);
  out.set("free", info.free);
  return out;
}

json::Value to_json(const Space& space) {
  json::Object out;
  out.set("used", space.used);
  out.set("available", space.available);
  out.set("quota", space.quota);
  return out;
}

json::Value to_json(const std::optional<std::string>& text) {
  return text ? json::Value(*text) : json::Value();
}

json::Value to_json(const std::map<std::string, std::string>& texts) {
  json::Object out;
  for (const auto& [name, text] : texts) out.set(name, text);
  return out;
}

template <class T>
json::Value to_json(const std::vector<T>& list) {
  json::Array out;
  for (const T& element : list) out.push_back(to_json(element));
  return out;
}

template <class T>
Result<json::Value> told(Result<T> done) {
  if (!done) return fail(std::move(done).error());
  return to_json(*done);
}

Result<json::Value> create(const Client& zfs, Words& words) {
  NX_TRY(const Dataset dataset, words.dataset());
  const Ancestors ancestors = words.next_is("make") ? Ancestors::make : Ancestors::must_exist;
  return nothing(zfs.create(dataset, words.properties(), ancestors));
}

Result<json::Value> create_volume(const Client& zfs, Words& words) {
  NX_TRY(const Dataset dataset, words.dataset());
  const std::uint64_t bytes = words.number();
  const Allocation allocation = words.next_is("sparse") ? Allocation::sparse : Allocation::reserved;
  return nothing(zfs.create_volume(dataset, bytes, allocation, words.properties()));
}

Result<json::Value> clone(const Client& zfs, Words& words) {
  NX_TRY(const Snapshot of, words.snapshot());
  NX_TRY(const Dataset to, words.dataset());
  return nothing(zfs.clone(of, to, words.properties()));
}

Result<json::Value> rename(const Client& zfs, Words& words) {
  NX_TRY(const Dataset from, words.dataset());
  NX_TRY(const Dataset to, words.dataset());
  return nothing(zfs.rename(from, to));
}

Result<json::Value> children(const Client& zfs, Words& words) {
  const Depth depth = words.next_is("all") ? Depth::all : Depth::direct;
  if (!words.more()) return told(zfs.children(depth));
  NX_TRY(const Dataset of, words.dataset());
  return told(zfs.children(of, depth));
}

/// FILE DATASET LABEL [BASE-DATASET BASE-LABEL]
Result<json::Value> send(const Client& zfs, Words& words) {
  NX_TRY(const UniqueFd file, sys::open_at(AT_FDCWD, words.next(), O_WRONLY));
  NX_TRY(const Snapshot snapshot, words.snapshot());
  if (!words.more()) return nothing(zfs.send(snapshot, nullptr, file.get()));
  NX_TRY(const Snapshot base, words.snapshot());
  return nothing(zfs.send(snapshot, &base, file.get()));
}

/// FILE DATASET
Result<json::Value> receive(const Client& zfs, Words& words) {
  NX_TRY(const UniqueFd file, sys::open_at(AT_FDCWD, words.next(), O_RDONLY));
  NX_TRY(const Dataset dataset, words.dataset());
  return nothing(zfs.receive(dataset, file.get(), words.properties()));
}

/// DIRECTORY DATASET [ro]
Result<json::Value> mount(const Client&, Words& words) {
  const std::string directory = words.next();
  NX_TRY(const Dataset dataset, words.dataset());
  NX_TRY(const sys::DetachedMount made,
         mount_dataset(dataset, words.next_is("ro") ? MOUNT_ATTR_RDONLY : 0));
  return nothing(sys::attach(made, directory));
}

Result<json::Value> device(const Client&, Words& words) {
  NX_TRY(const Dataset dataset, words.dataset());
  return value(volume_device(dataset, words.time()));
}

using Call = std::function<Result<json::Value>(const Client&, Words&)>;

/// A call whose first argument is a dataset.
template <class F>
Call of_dataset(F call) {
  return [call](const Client& zfs, Words& words) -> Result<json::Value> {
    NX_TRY(const Dataset dataset, words.dataset());
    return call(zfs, dataset, words);
  };
}

/// A call whose first arguments are a dataset and a label.
template <class F>
Call of_snapshot(F call) {
  return [call](const Client& zfs, Words& words) -> Result<json::Value> {
    NX_TRY(const Snapshot snapshot, words.snapshot());
    return call(zfs, snapshot, words);
  };
}

const std::map<std::string, Call>& calls() {
  using C = const Client&;
  using D = const Dataset&;
  using S = const Snapshot&;
  using W = Words&;
  static const std::map<std::string, Call> table = {
      {"probe", [](C zfs, W) { return nothing(zfs.probe()); }},
      {"pool", [](C zfs, W) { return told(zfs.pool()); }},
      {"space", [](C zfs, W) { return told(zfs.space()); }},
      {"create", create},
      {"create_volume", create_volume},
      {"clone", clone},
      {"rename", rename},
      {"children", children},
      {"send", send},
      {"receive", receive},
      {"mount", mount},
      {"volume_device", device},
      {"snapshot", of_snapshot([](C zfs, S of, W words) {
         return nothing(zfs.snapshot(of, words.properties()));
       })},
      {"rollback", of_snapshot([](C zfs, S to, W words) {
         return nothing(
             zfs.rollback(to, words.next_is("destroy") ? Newer::destroy : Newer::refuse));
       })},
      {"destroy_snapshot", of_snapshot([](C zfs, S of, W) { return nothing(zfs.destroy(of)); })},
      {"snapshot_exists", of_snapshot([](C zfs, S of, W) { return value(zfs.exists(of)); })},
      {"promote", of_dataset([](C zfs, D of, W) { return nothing(zfs.promote(of)); })},
      {"destroy",
       of_dataset([](C zfs, D of, W words) { return nothing(zfs.destroy(of, words.time())); })},
      {"destroy_snapshots",
       of_dataset([](C zfs, D of, W) { return nothing(zfs.destroy_snapshots(of)); })},
      {"exists", of_dataset([](C zfs, D of, W) { return value(zfs.exists(of)); })},
      {"property",
       of_dataset([](C zfs, D of, W words) { return told(zfs.property(of, words.next())); })},
      {"properties",
       of_dataset([](C zfs, D of, W words) { return told(zfs.properties(of, words.rest())); })},
      {"set",
       of_dataset([](C zfs, D of, W words) { return nothing(zfs.set(of, words.properties())); })},
      {"snapshots", of_dataset([](C zfs, D of, W) { return told(zfs.snapshots(of)); })},
  };
  return table;
}

json::Value to_json(const Error& error) {
  static constexpr const char* kFailures[] = {"no_such_dataset", "exists",       "busy",
                                              "has_dependents",  "out_of_space", "permission",
                                              "not_available",   "invalid",      "other"};
  json::Object out;
  out.set("code", errc_name(error.code()));
  out.set("errno", error.sys_errno());
  out.set("failure", kFailures[static_cast<std::size_t>(failure_of(error))]);
  out.set("message", error.message());
  out.set("hint", error.hint());
  return out;
}

std::string from_environment(const char* name, const char* otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : text;
}

Result<json::Value> run(std::vector<std::string> words) {
  if (words.size() < 2) return fail(Errc::InvalidSpec, "usage: nx_zfs_client PARENT CALL ...");
  NX_TRY(Parent parent, Parent::parse(words[0]));
  const Client client(std::move(parent), {.zfs = from_environment("NX_ZFS", "zfs"),
                                          .zpool = from_environment("NX_ZPOOL", "zpool")});
  const auto call = calls().find(words[1]);
  if (call == calls().end()) return fail(Errc::InvalidSpec, "no such call: " + words[1]);
  words.erase(words.begin(), words.begin() + 2);
  Words rest(client, std::move(words));
  return call->second(client, rest);
}

}  // namespace
}  // namespace nexcage::storage::zfs

int main(int argc, char** argv) {
  const auto done = nexcage::storage::zfs::run({argv + 1, argv + argc});
  nexcage::json::Object out;
  if (done)
    out.set("value", *done);
  else
    out.set("error", nexcage::storage::zfs::to_json(done.error()));
  std::puts(nexcage::json::dump(std::move(out)).c_str());
  return done ? 0 : 1;
}
