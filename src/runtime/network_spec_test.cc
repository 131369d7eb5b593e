#include "nexcage/runtime/network_spec.h"

#include "result_matchers.h"

namespace nexcage::runtime {
namespace {

using testing::ElementsAre;

oci::Spec applied(const char* network, std::vector<oci::Mount> mounts = {},
                  bool read_only = false) {
  oci::Spec spec = oci::default_spec();
  spec.root = oci::Root{"rootfs", read_only};
  spec.mounts = std::move(mounts);
  const auto wanted = network::parse_network(network);
  apply_network(spec, *wanted, "/b", "/r/@network/c1");
  return spec;
}

std::string namespace_of(const oci::Spec& spec) {
  const oci::Namespace* found = spec.linux_->find(oci::NamespaceType::network);
  return found == nullptr ? "the host's" : found->path.empty() ? "a new one" : found->path;
}

TEST(NetworkSpec, names_the_namespace) {
  EXPECT_EQ(namespace_of(applied("none")), "a new one");
  EXPECT_EQ(namespace_of(applied("host")), "the host's");
  EXPECT_EQ(namespace_of(applied("ns:/run/netns/x")), "/run/netns/x");
  EXPECT_EQ(namespace_of(applied("bridge")), "/r/@network/c1/netns");
  EXPECT_EQ(namespace_of(applied("cni:x")), "/r/@network/c1/netns");
  EXPECT_EQ(applied("bridge").linux_->namespaces.size(),
            oci::default_spec().linux_->namespaces.size());
}

std::vector<std::string> targets(const oci::Spec& spec) {
  std::vector<std::string> list;
  list.reserve(spec.mounts.size());
  for (const oci::Mount& mount : spec.mounts)
    list.push_back(mount.source + " " + mount.destination + " " + mount.options.back());
  return list;
}

TEST(NetworkSpec, mounts_the_files_unless_the_users_mounts_cover_them) {
  EXPECT_THAT(targets(applied("none")),
              ElementsAre("/b/hosts /etc/hosts rw", "/b/hostname /etc/hostname rw",
                          "/b/resolv.conf /etc/resolv.conf rw"));
  EXPECT_THAT(targets(applied("none", {}, true)).front(), "/b/hosts /etc/hosts ro");
  const oci::Mount one{"/etc/hosts", "bind", "/mine", {"rw"}, {}, {}};
  EXPECT_THAT(targets(applied("none", {one})),
              ElementsAre("/mine /etc/hosts rw", "/b/hostname /etc/hostname rw",
                          "/b/resolv.conf /etc/resolv.conf rw"));
  const oci::Mount all{"/etc", "bind", "/mine", {"rw"}, {}, {}};
  EXPECT_THAT(targets(applied("none", {all})), ElementsAre("/mine /etc rw"));
  const oci::Mount other{"/etcetera", "bind", "/mine", {"rw"}, {}, {}};
  EXPECT_EQ(targets(applied("none", {other})).size(), 4U);
}

}  // namespace
}  // namespace nexcage::runtime
