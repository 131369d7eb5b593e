// A directory tree with one of everything that a file system keeps.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace nexcage::testing {

class SampleTree {
 public:
  /// In the empty directory `root`.
  explicit SampleTree(std::string root) : root_(std::move(root)) {
    modes_and_owners();
    attributes();
    links();
    special_files();
    names();
    sparse_file();
    times();
  }

 private:
  std::string at(std::string_view name) const { return root_ + "/" + std::string(name); }
  static void check(int result, std::string_view what) {
    EXPECT_EQ(result, 0) << what << ": " << std::strerror(errno);
  }
  void file(std::string_view name, mode_t mode = 0644, std::string_view content = "x") {
    std::ofstream(at(name), std::ios::binary) << content;
    check(::chmod(at(name).c_str(), mode), name);
  }
  void directory(std::string_view name, mode_t mode) {
    check(::mkdir(at(name).c_str(), 0700), name);
    check(::chmod(at(name).c_str(), mode), name);
  }
  void xattr(std::string_view name, const char* key, std::string_view value) {
    check(::lsetxattr(at(name).c_str(), key, value.data(), value.size(), 0), key);
  }

  void modes_and_owners() {
    file("set user id", 04755);
    file("set group id", 02755);
    file("sticky", 01644);
    file("closed", 0);
    file("empty", 0644, "");
    file("large", 0644, std::string(3'000'001, 'l'));
    directory("group directory", 02775);
    directory("tmp", 01777);
    file("owned");
    check(::lchown(at("owned").c_str(), 70'000, 4'294'967'294), "owned");
    check(::chmod(root_.c_str(), 01751), root_);
    check(::lchown(root_.c_str(), 100'000, 100'001), root_);
  }
  void attributes() {
    using namespace std::string_view_literals;
    file("attributes");
    xattr("attributes", "user.text", "value");
    xattr("attributes", "user.empty", "");
    xattr("attributes", "trusted.bytes", "\0\1\2"sv);
    file("capable", 0755);
    check(::lchown(at("capable").c_str(), 1000, 1000), "capable");
    xattr("capable", "security.capability", "\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0"sv);
    file("many attributes");
    for (int i = 0; i < 20; ++i)
      xattr("many attributes", ("user.number" + std::to_string(i)).c_str(), std::string(100, 'v'));
    // rw- for the owner and user 1000, r-- for the group and others
    constexpr std::string_view kAcl =
        "\2\0\0\0\1\0\6\0\xff\xff\xff\xff\2\0\6\0\xe8\3\0\0\4\0\4\0\xff\xff\xff\xff"
        "\x10\0\6\0\xff\xff\xff\xff\x20\0\4\0\xff\xff\xff\xff"sv;
    file("access list");
    xattr("access list", "system.posix_acl_access", kAcl);
    directory("lists", 0755);
    xattr("lists", "system.posix_acl_access", kAcl);
    xattr("lists", "system.posix_acl_default", kAcl);
    check(::lsetxattr(root_.c_str(), "user.root", "r", 1, 0), "user.root");
  }
  void links() {
    file("linked");
    directory("in", 0755);
    check(::link(at("linked").c_str(), at("in/again").c_str()), "link");
    for (const std::size_t size : {1, 59, 60, 1000}) {
      const std::string name = "symlink" + std::to_string(size);
      check(::symlink(std::string(size, 's').c_str(), at(name).c_str()), name);
    }
    check(::lchown(at("symlink59").c_str(), 70'000, 70'001), "symlink59");
    xattr("symlink60", "trusted.of_symlink", "s");
    check(::symlink("linked", at("linked symlink").c_str()), "symlink");
    check(::link(at("linked symlink").c_str(), at("linked symlink, again").c_str()), "link");
  }
  void special_files() {
    check(::mknod(at("null").c_str(), S_IFCHR | 0666, makedev(1, 3)), "null");
    check(::mknod(at("whiteout").c_str(), S_IFCHR, makedev(0, 0)), "whiteout");
    check(::mknod(at("block").c_str(), S_IFBLK | 0600, makedev(259, 70'000)), "block");
    check(::link(at("null").c_str(), at("in/null").c_str()), "link");
    check(::mkfifo(at("fifo").c_str(), 0622), "fifo");
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int root = ::open(root_.c_str(), O_PATH | O_CLOEXEC);
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    // The path itself may be longer than such a name can be.
    (void)std::snprintf(name.sun_path, sizeof name.sun_path, "/proc/self/fd/%d/socket", root);
    check(::bind(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name), "socket");
    (void)::close(root);
    (void)::close(fd);
  }
  void names() {
    for (const char* name :
         {"a b", "new\nline", "quote\"", "apostrophe'", "back\\slash", "-dash", "..a", "$(x)",
          "\xc3\xa4", "\xff\xfe", "*", "~tilde", " lead", "trail "})
      file(name);
    file(std::string(255, 'n'));
    file("after 2038");
    std::filesystem::create_directories(at("a/b/c/empty"));
  }
  /// Small for its size; what lies above 4 GiB has a test of its own.
  void sparse_file() {
    file("sparse", 0644, "start");
    check(::truncate(at("sparse").c_str(), 8 << 20), "sparse");
    std::fstream more(at("sparse"), std::ios::in | std::ios::out | std::ios::binary);
    more.seekp(4 << 20);
    more << "middle";
  }
  /// Last, and children before their directories, whose times they would change.
  void times() {
    long n = 0;
    const auto set = [&](const std::string& path, std::int64_t seconds, long nanoseconds) {
      const timespec both[2] = {{1'600'000'000, 7}, {seconds, nanoseconds}};
      check(::utimensat(AT_FDCWD, path.c_str(), both, AT_SYMLINK_NOFOLLOW), path);
    };
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root_))
      set(entry.path(), 1'700'000'000, 123'456'789 + ++n);
    set(at("empty"), -5, 0);
    set(at("after 2038"), 5'000'000'000, 999'999'999);
    set(root_, 1'500'000'000, 5);
  }

  std::string root_;
};

}  // namespace nexcage::testing
