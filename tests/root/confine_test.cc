// What a helper can still do once it is confined: tried in a child, by the calls themselves.
#include "nexcage/helpers/confine.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <functional>
#include <thread>

#include "nexcage/sys/fs.h"
#include "result_matchers.h"

namespace nexcage::helpers {
namespace {

class Confined : public testing::Test {
 protected:
  void SetUp() override {
    auto dir = sys::TempDir::create(testing::TempDir(), "confine");
    ASSERT_OK(dir);
    dir_.emplace(*std::move(dir));
    for (const char* name : {"/read", "/write", "/hidden"}) {
      ASSERT_OK(sys::mkdirs(dir_->path() + name, 0755));
      std::ofstream(dir_->path() + name + "/file") << "x";
    }
  }
  std::string path(const std::string& name) const { return dir_->path() + "/" + name; }

  /// The errno that `call` left in a confined child; 0 when it did not return -1.
  int after(const std::function<long()>& call, Network network = Network::none) {
    const pid_t child = ::fork();
    if (child == 0) {
      const auto confined = confine({.read_only = {path("read")},
                                     .read_write = {path("write")},
                                     .capabilities = 0,
                                     .network = network});
      if (!confined) ::_exit(255);
      ::_exit(call() == -1 ? errno : 0);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status));
    return WEXITSTATUS(status);
  }
  int opened(const std::string& name, int flags) {
    return after([&] { return ::open(name.c_str(), flags, 0600); });
  }

  std::optional<sys::TempDir> dir_;
};

TEST_F(Confined, starts_no_program) {
  const auto execute = [] {
    const char* const argv[] = {"/bin/true", nullptr};
    return ::execve(argv[0], const_cast<char* const*>(argv), nullptr);
  };
  EXPECT_EQ(after(execute), EPERM);
  EXPECT_EQ(after([] { return ::syscall(SYS_execveat, -1, "/bin/true", nullptr, nullptr, 0); }),
            EPERM);
}

TEST_F(Confined, makes_threads_but_no_namespaces) {
  EXPECT_EQ(after([] {
              long result = -1;
              std::thread([&] { result = 0; }).join();
              return result;
            }),
            0);
  EXPECT_EQ(after([] { return ::unshare(CLONE_NEWUSER); }), EPERM);
  EXPECT_EQ(after([] { return ::syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0); }), EPERM);
  EXPECT_EQ(after([] { return ::syscall(SYS_clone3, nullptr, 0); }), ENOSYS);
  EXPECT_EQ(after([] { return ::mount("none", "/tmp", "tmpfs", 0, nullptr); }), EPERM);
  EXPECT_EQ(after([] { return ::syscall(SYS_ptrace, 16 /* PTRACE_ATTACH */, 1, 0, 0); }) != 0,
            true);
}

TEST_F(Confined, sockets_only_where_they_are_needed) {
  const auto make = [](int family) {
    return [family] { return static_cast<long>(::socket(family, SOCK_STREAM, 0)); };
  };
  EXPECT_EQ(after(make(AF_INET)), EACCES);
  EXPECT_EQ(after(make(AF_UNIX)), EACCES);
  EXPECT_EQ(after(make(AF_INET), Network::client), 0);
  EXPECT_EQ(after(make(AF_INET6), Network::client) == EACCES, false);
  EXPECT_EQ(after([] { return ::socket(AF_PACKET, SOCK_RAW, 0); }, Network::client), EACCES);
  EXPECT_EQ(after([] { return ::listen(::socket(AF_INET, SOCK_STREAM, 0), 1); }, Network::client),
            EPERM);
}

TEST_F(Confined, files_only_where_it_may) {
  if (::syscall(SYS_landlock_create_ruleset, nullptr, 0, 1) < 2)
    GTEST_SKIP() << "the kernel has no Landlock of ABI 2";
  EXPECT_EQ(opened(path("read/file"), O_RDONLY), 0);
  EXPECT_EQ(opened(path("read/file"), O_WRONLY), EACCES);
  EXPECT_EQ(opened(path("write/new"), O_WRONLY | O_CREAT), 0);
  EXPECT_EQ(opened(path("hidden/file"), O_RDONLY), EACCES);
  EXPECT_EQ(opened("/etc/shadow", O_RDONLY), EACCES);
}

TEST_F(Confined, capabilities_are_gone) {
  EXPECT_EQ(after([&] { return ::mknod(path("write/null").c_str(), S_IFCHR | 0600, 0x103); }),
            EPERM);
  EXPECT_EQ(after([&] { return ::chown(path("write/file").c_str(), 12, 12); }), EPERM);
}

}  // namespace
}  // namespace nexcage::helpers
