#include "nexcage/storage/zfs/snapshots.h"

#include <utility>

namespace nexcage::storage::zfs {
namespace {

class DatasetSnapshots final : public Snapshots {
 public:
  DatasetSnapshots(OwnedDataset dataset, Newer newer) : owned_(std::move(dataset)), newer_(newer) {}

  Result<> create(const std::string& name) override {
    NX_TRY(const Snapshot snapshot, named(name));
    auto made = owned_.client().snapshot(snapshot);
    if (!made && failure_of(made.error()) == Failure::exists)
      return fail(std::move(made).error().as(Errc::InvalidState));
    return made;
  }

  Result<std::vector<storage::SnapshotInfo>> list() override {
    NX_TRY(const auto found, owned_.client().snapshots(owned_.dataset()));
    std::vector<storage::SnapshotInfo> all;
    all.reserve(found.size());
    for (const SnapshotInfo& one : found)
      all.push_back({.name = one.label, .created = one.created, .bytes = one.used});
    return all;
  }

  Result<> rollback(const std::string& name) override {
    NX_TRY(const Snapshot snapshot, existing(name));
    auto done = owned_.client().rollback(snapshot, newer_);
    if (done || failure_of(done.error()) != Failure::has_dependents) return done;
    if (newer_ == Newer::destroy) return fail(std::move(done).error().as(Errc::InvalidState));
    return fail(
        Error(Errc::InvalidState, "snapshots that are newer than " + name + " are in the way")
            .hint("--discard-newer destroys them"));
  }

  Result<> remove(const std::string& name) override {
    NX_TRY(const Snapshot snapshot, existing(name));
    return owned_.client().destroy(snapshot);
  }

 private:
  Result<Snapshot> named(const std::string& name) const {
    NX_CHECK(check_snapshot_name(name));
    return owned_.dataset().snapshot(name);
  }

  Result<Snapshot> existing(const std::string& name) const {
    NX_TRY(Snapshot snapshot, named(name));
    NX_TRY(const bool there, owned_.client().exists(snapshot));
    if (!there) return fail(Errc::InvalidState, "there is no snapshot " + name);
    return snapshot;
  }

  OwnedDataset owned_;
  Newer newer_;
};

}  // namespace

std::unique_ptr<Snapshots> open_dataset_snapshots(OwnedDataset dataset, Newer newer) {
  return std::make_unique<DatasetSnapshots>(std::move(dataset), newer);
}

}  // namespace nexcage::storage::zfs
