// Checking images before they are used.
#include <string>

#include "nexcage/storage/raw/image.h"
#include "nexcage/storage/raw/image_file.h"
#include "nexcage/storage/raw/superblock.h"
#include "nexcage/storage/raw/tool.h"

namespace nexcage::storage::raw {
namespace {

/// Exit statuses of e2fsck(8) that mean a sound file system: errors were corrected, and the system
/// should be rebooted because the root file system was changed (it was not).
constexpr int kCorrected = 1, kReboot = 2;

Result<> check_ext4(const std::string& path, Check check, const Programs& programs) {
  Tool tool;
  tool.argv = {programs.e2fsck, "-p"};
  if (check == Check::full) tool.argv.emplace_back("-f");
  tool.argv.insert(tool.argv.end(), {"--", path});
  tool.accepted = kCorrected | kReboot;
  auto done = run_tool(tool);
  if (done) return {};
  if (done.error().code() != Errc::FileError) return fail(std::move(done).error());
  return fail(std::move(done).error().hint("run \"e2fsck -f " + path + "\" and answer it"));
}

Result<> check_xfs(const std::string& path, const Programs& programs) {
  Tool tool;
  tool.argv = {programs.xfs_repair, "-n", "-f", path};
  auto done = run_tool(tool);
  if (done) return {};
  if (done.error().code() != Errc::FileError) return fail(std::move(done).error());
  return fail(std::move(done).error().hint(
      "mount and unmount it so that its log is written back, then run \"xfs_repair -f " + path +
      "\""));
}

}  // namespace

Result<Superblock> check_open_image(int image, const std::string& path, FileSystem file_system,
                                    Check check, const Programs& programs) {
  NX_TRY(Superblock found, read_superblock(image));
  NX_CHECK(check_superblock(found, file_system));
  const bool ext4 = file_system == FileSystem::ext4;
  if (ext4 && (check == Check::full || !found.clean)) NX_CHECK(check_ext4(path, check, programs));
  if (!ext4 && check == Check::full) NX_CHECK(check_xfs(path, programs));
  return found;
}

Result<> check_image(const std::string& path, FileSystem file_system, Check check,
                     const Programs& programs) {
  const std::string what = "check image " + path;
  NX_TRY(const UniqueFd image, open_image(path, sys::Access::read_write, Lock::exclusive), what);
  NX_CHECK(check_open_image(image.get(), path, file_system, check, programs), what);
  return {};
}

}  // namespace nexcage::storage::raw
