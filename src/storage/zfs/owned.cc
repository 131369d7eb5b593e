#include "nexcage/storage/zfs/owned.h"

#include <chrono>

#include "nexcage/base/log.h"
#include "nexcage/base/text.h"

namespace nexcage::storage::zfs {
namespace {

/// What used a container's dataset may just be ending: a mount namespace, a scan by udev.
constexpr std::chrono::seconds kPatience{5};

void add_ours(Properties& properties, const std::string& token) {
  properties.emplace_back("mountpoint", "legacy");
  properties.emplace_back(kOwnerProperty, token);
}

}  // namespace

Result<OwnedDataset> OwnedDataset::make(const std::string& parent, const std::string& name,
                                        std::string token) {
  NX_TRY(Parent above, Parent::parse(parent));
  const std::string prefix = parent + "/";
  if (!name.starts_with(prefix))
    return fail(Errc::ConfigError, "dataset " + name + " does not lie in " + parent);
  NX_TRY(Dataset dataset, above.child(name.substr(prefix.size())));
  return OwnedDataset(Client(std::move(above)), std::move(dataset), std::move(token));
}

Result<OwnedDataset> OwnedDataset::parse(const std::string& name, std::string token) {
  const auto slash = name.rfind('/');
  if (slash == std::string::npos)
    return fail(Errc::ConfigError, "dataset " + name + " lies in no other");
  return make(name.substr(0, slash), name, std::move(token));
}

Result<> OwnedDataset::accept_existing(Result<> made) const {
  if (made || failure_of(made.error()) != Failure::exists) return made;
  NX_TRY(const bool ours, exists());
  if (ours) return {};
  return fail(std::move(made)
                  .error()
                  .as(Errc::ContainerExists)
                  .hint("choose another id, or remove the dataset yourself"));
}

Result<> OwnedDataset::clone(const Snapshot& of, Properties properties,
                             const std::string& program) const {
  add_ours(properties, token_);
  return accept_existing(client_.clone(of, dataset_, properties, program));
}

Result<> OwnedDataset::create(Properties properties) const {
  add_ours(properties, token_);
  return accept_existing(client_.create(dataset_, properties, Ancestors::must_exist));
}

Result<> OwnedDataset::create_volume(std::uint64_t bytes) const {
  // volmode=dev: the kernel looks for no partitions in what a container has written.
  const Properties properties{{"volmode", "dev"}, {kOwnerProperty, token_}};
  return accept_existing(client_.create_volume(dataset_, bytes, Allocation::sparse, properties));
}

Result<std::uint64_t> OwnedDataset::grow_volume(std::uint64_t bytes) const {
  NX_TRY(auto now, client_.properties(dataset_, {"volsize", "volblocksize"}));
  const std::uint64_t size = parse_u64(now["volsize"]).value_or(0);
  const std::uint64_t block = parse_u64(now["volblocksize"]).value_or(0);
  if (size == 0 || block == 0) return fail(Errc::ZFSError, dataset_.name() + " is no volume");
  if (bytes < size)
    return fail(Error(Errc::InvalidSpec, "volume " + dataset_.name() + " has " +
                                             format_bytes(size) + " and can only grow")
                    .hint("make a smaller one and copy the files"));
  const std::uint64_t whole = (bytes + block - 1) / block * block;
  if (whole > size) NX_CHECK(client_.set(dataset_, {{"volsize", std::to_string(whole)}}));
  return whole;
}

Result<bool> OwnedDataset::exists() const {
  NX_TRY(const auto token, client_.property(dataset_, kOwnerProperty));
  return token && *token == token_;
}

Result<> OwnedDataset::destroy() const {
  NX_TRY(const bool ours, exists());
  if (!ours) return {};
  auto destroyed = client_.destroy(dataset_, kPatience);
  if (destroyed || failure_of(destroyed.error()) != Failure::has_dependents) return destroyed;
  NX_CHECK(client_.destroy_snapshots(dataset_));
  return client_.destroy(dataset_, kPatience);
}

}  // namespace nexcage::storage::zfs
