// Network namespaces that a file keeps alive, in the real kernel.
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <optional>

#include "nexcage/network/host.h"
#include "nexcage/network/network.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/mount.h"
#include "nexcage/sys/netns.h"
#include "result_matchers.h"

namespace nexcage {
namespace {

using testing::HasSubstr;

class NetworkNamespace : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root: namespaces";
    auto dir = sys::TempDir::create("/run", "netns");
    ASSERT_OK(dir);
    dir_.emplace(std::move(*dir));
    path_ = dir_->path() + "/netns";
  }
  static std::string ours() { return *sys::read_link(AT_FDCWD, "/proc/thread-self/ns/net"); }
  static bool is_mounted(const std::string& path) {
    const auto mounts = sys::read_mountinfo();
    return mounts && std::ranges::any_of(*mounts, [&](const sys::MountInfo& mount) {
             return mount.mount_point == path;
           });
  }
  std::optional<sys::TempDir> dir_;
  std::string path_;
};

short flags_of_lo() {
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::memcpy(request.ifr_name, "lo", sizeof "lo");
  return ioctl(socket.get(), SIOCGIFFLAGS, &request) == 0 ? request.ifr_flags : short{0};
}

TEST_F(NetworkNamespace, is_another_one_with_lo_up) {
  const std::string before = ours();
  ASSERT_OK(sys::make_network_namespace(path_));
  EXPECT_EQ(ours(), before) << "the caller is where it was";
  EXPECT_TRUE(*sys::is_network_namespace(path_));
  const auto home = sys::open_at(AT_FDCWD, "/proc/thread-self/ns/net", O_RDONLY);
  const auto inside = sys::open_at(AT_FDCWD, path_, O_RDONLY);
  ASSERT_OK(inside);
  ASSERT_EQ(setns(inside->get(), CLONE_NEWNET), 0);
  const short flags = flags_of_lo();
  const auto host = network::read_host();
  const std::string there = ours();
  ASSERT_EQ(setns(home->get(), CLONE_NEWNET), 0);
  EXPECT_NE(there, before);
  EXPECT_TRUE((flags & IFF_UP) != 0);
  ASSERT_OK(host);
  ASSERT_FALSE(host->addresses.empty());
  EXPECT_EQ(host->addresses[0].prefix.str(), "127.0.0.1/8");
  EXPECT_TRUE(host->routes.empty());
  ASSERT_OK(sys::remove_network_namespace(path_));
  EXPECT_FALSE(is_mounted(path_));
  EXPECT_FALSE(*sys::exists(AT_FDCWD, path_));
}

TEST_F(NetworkNamespace, is_not_made_twice) {
  ASSERT_OK(sys::make_network_namespace(path_));
  EXPECT_ERROR(sys::make_network_namespace(path_), Errc::FileError, HasSubstr("netns"));
  EXPECT_OK(sys::remove_network_namespace(path_));
  EXPECT_OK(sys::remove_network_namespace(path_));  // gone already is success
}

TEST_F(NetworkNamespace, is_told_from_other_files) {
  EXPECT_FALSE(*sys::is_network_namespace("/etc/passwd"));
  EXPECT_FALSE(*sys::is_network_namespace("/proc/self/ns/mnt"));
  EXPECT_FALSE(*sys::is_network_namespace(dir_->path()));
  EXPECT_ERROR(sys::is_network_namespace(path_), Errc::FileError, HasSubstr("netns"));
}

TEST_F(NetworkNamespace, bridges_are_told_from_other_interfaces) {
  EXPECT_EQ(*network::find_link("lo"), network::Link::other);
  EXPECT_EQ(*network::find_link("nxnothing"), network::Link::missing);
  EXPECT_EQ(*network::find_link(""), network::Link::missing);
  EXPECT_EQ(*network::find_link("a-name-that-is-too-long"), network::Link::missing);
}

TEST_F(NetworkNamespace, detaching_what_is_not_there_is_success) {
  EXPECT_OK(network::detach(path_));
}

/// A process that is killed after the file was made and before the mount was.
TEST_F(NetworkNamespace, detaching_goes_on_where_the_mount_is_missing) {
  const std::string directory = dir_->path() + "/c1";
  ASSERT_OK(sys::mkdirs(directory, 0700));
  std::ofstream(network::namespace_path(directory)) << "";
  const std::string plugin = dir_->path() + "/echo";
  std::ofstream(plugin) << "#!/bin/sh\nenv > " << dir_->path() << "/env\n";
  ASSERT_EQ(chmod(plugin.c_str(), 0755), 0);
  std::ofstream(directory + "/attachment.json")
      << R"({"containerId":"c1-00","netns":")" << network::namespace_path(directory)
      << R"(","pluginDirs":")" << dir_->path()
      << R"(","network":{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"echo"}]},)"
      << R"("capabilityArgs":{},"args":"","ports":[],"result":null})";
  ASSERT_OK(network::detach(directory));
  EXPECT_FALSE(*sys::exists(AT_FDCWD, directory));
  const auto environment = sys::read_file(AT_FDCWD, dir_->path() + "/env");
  ASSERT_OK(environment);
  EXPECT_THAT(*environment, HasSubstr("CNI_NETNS=\n"));
  EXPECT_THAT(*environment, HasSubstr("CNI_COMMAND=DEL\n"));
}

}  // namespace
}  // namespace nexcage
