#include "nexcage/backends/vm/fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "result_matchers.h"

namespace nexcage::backends::vm {
namespace {

using ::testing::HasSubstr;

TEST(VmFields, NoRowTwice) {
  std::set<std::string_view> seen;
  for (const Field& field : fields())
    EXPECT_TRUE(seen.insert(field.pointer).second) << field.pointer;
}

TEST(VmFields, EveryRefusedRowHasItsTest) {
  for (const Field& field : fields())
    EXPECT_EQ(field.applied == Applied::refused, field.used != nullptr) << field.pointer;
}

TEST(VmFields, TheDefaultSpecIsTaken) { EXPECT_OK(check_fields(oci::default_spec())); }

TEST(VmFields, RefusesByName) {
  oci::Spec spec = oci::default_spec();
  spec.process->apparmor_profile = "strict";
  EXPECT_ERROR(check_fields(spec), Errc::Unsupported, HasSubstr("process.apparmorProfile"));
  spec = oci::default_spec();
  oci::Device& disk = spec.linux_->devices.emplace_back();
  disk.path = "/dev/sda";
  disk.type = 'b';
  disk.major = 8;
  EXPECT_ERROR(check_fields(spec), Errc::Unsupported, HasSubstr("linux.devices.major"));
  spec = oci::default_spec();
  spec.vm.emplace().kernel.path = "/boot/vmlinuz";
  spec.vm->hw_config.emplace().device_tree = "/boot/tree";
  EXPECT_ERROR(check_fields(spec), Errc::Unsupported, HasSubstr("vm.hwConfig.deviceTree"));
}

TEST(VmFields, ANamespaceOfTheHostIsRefusedUnlessItIsTheNetworks) {
  oci::Spec spec = oci::default_spec();
  for (oci::Namespace& one : spec.linux_->namespaces)
    if (one.type == oci::NamespaceType::network) one.path = "/run/netns/c1";
  EXPECT_OK(check_fields(spec));
  for (oci::Namespace& one : spec.linux_->namespaces)
    if (one.type == oci::NamespaceType::ipc) one.path = "/proc/1/ns/ipc";
  EXPECT_ERROR(check_fields(spec), Errc::Unsupported, HasSubstr("linux.namespaces.path"));
  spec = oci::default_spec();
  std::erase_if(spec.linux_->namespaces,
                [](const auto& one) { return one.type == oci::NamespaceType::pid; });
  EXPECT_ERROR(check_fields(spec), Errc::Unsupported, HasSubstr("linux.namespaces.path"));
}

}  // namespace
}  // namespace nexcage::backends::vm
