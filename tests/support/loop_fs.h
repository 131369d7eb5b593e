// A file system of a chosen kind in a file of its own, mounted for one test.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "nexcage/sys/fs.h"
#include "nexcage/sys/loop.h"
#include "nexcage/sys/mount.h"
#include "nexcage/sys/process.h"
#include "result_matchers.h"

namespace nexcage::testing {

/// Why a test with such file systems cannot run here; empty when it can.
inline std::string lacks_for(const std::string& type) {
  if (::geteuid() != 0) return "needs root: mounts";
  std::ifstream list("/proc/filesystems");
  const std::string known{std::istreambuf_iterator<char>(list), {}};
  if (known.find("\t" + type + "\n") == std::string::npos) return "the kernel has no " + type;
  if (::access("/dev/loop-control", F_OK) != 0) return "the kernel has no loop devices";
  if (!sys::find_program("mkfs." + type)) return "needs the program mkfs." + type;
  return {};
}

/// Runs a program and expects that it succeeds.
inline std::string run_ok(std::vector<std::string> argv) {
  sys::Command command;
  command.argv = std::move(argv);
  command.inherit_env = true;
  const auto output = sys::run(command, "", std::chrono::seconds(60));
  EXPECT_OK(output);
  if (!output) return {};
  EXPECT_EQ(output->status, 0) << command.argv.front() << ": " << output->out << output->err;
  return output->out;
}

inline void write_text(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}
inline std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// A directory below the working directory (the build tree under ctest).
class ScratchDir {
 public:
  ScratchDir() {
    auto made = sys::TempDir::create(std::filesystem::current_path(), "nx-storage");
    EXPECT_OK(made);
    if (made) dir_.emplace(*std::move(made));
  }
  std::string operator/(const std::string& name) const { return dir_->path() + "/" + name; }
  const std::string& path() const { return dir_->path(); }

 private:
  std::optional<sys::TempDir> dir_;
};

/// Something mounted at a directory until the end of the test.
class MountedAt {
 public:
  MountedAt(const sys::DetachedMount& mount, std::string path) : path_(std::move(path)) {
    EXPECT_OK(sys::mkdirs(path_, 0755));
    EXPECT_OK(sys::attach(mount, path_));
  }
  MountedAt(const MountedAt&) = delete;
  MountedAt& operator=(const MountedAt&) = delete;
  ~MountedAt() { EXPECT_OK(sys::unmount(path_)); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// Makes and mounts a file system; `type` has been asked about with lacks_for.
class LoopFs {
 public:
  explicit LoopFs(const std::string& type, std::uint64_t bytes = std::uint64_t{512} << 20) {
    const std::string file = scratch_ / "fs.img";
    write_text(file, "");
    std::filesystem::resize_file(file, bytes);
    run_ok({"mkfs." + type, "-q", file});
    const auto fd = sys::open_at(AT_FDCWD, file, O_RDWR);
    EXPECT_OK(fd);
    const auto loop = sys::LoopDevice::attach(fd->get(), sys::Access::read_write);
    EXPECT_OK(loop);
    if (!loop) return;
    const auto mount = sys::new_mount(type, {{.key = "source", .value = loop->path()}}, 0);
    EXPECT_OK(mount);
    if (mount) mounted_ = std::make_unique<MountedAt>(*mount, scratch_ / "mnt");
  }
  std::string operator/(const std::string& name) const { return *mounted_ / name; }
  const std::string& path() const { return mounted_->path(); }

 private:
  ScratchDir scratch_;
  std::unique_ptr<MountedAt> mounted_;
};

}  // namespace nexcage::testing

/// Skips the test by name where file systems of this type cannot be had.
#define NX_NEEDS_FS(type)                                                            \
  if (const std::string lacks = ::nexcage::testing::lacks_for(type); !lacks.empty()) \
  GTEST_SKIP() << lacks
