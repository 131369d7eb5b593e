#include "nexcage/vm/boot/kernel.h"

#include <fcntl.h>

#include "nexcage/sys/fs.h"
#include "nexcage/sys/process.h"
#include "nexcage/vm/boot/cpio.h"

namespace nexcage::vm::boot {
namespace {

constexpr std::size_t kMaxInitrd = 512u << 20;
constexpr std::size_t kMaxInit = 64u << 20;

std::string as_archive(std::string_view init) {
  CpioWriter archive;
  for (const char* name : {"dev", "proc", "sys", "run", "root"}) archive.directory(name, 0755);
  archive.file("init", 0755, init);
  return std::move(archive).finish();
}

}  // namespace

Result<Kernel> find_kernel(const std::string& directory) {
  auto release = sys::read_link(AT_FDCWD, directory + "/default");
  if (!release) {
    Error error(Errc::RuntimeNotAvailable, "no kernel for virtual machines in " + directory);
    return fail(std::move(error).hint("`nexcage vm setup` prepares one."));
  }
  const std::string place = directory + "/" + *release;
  return Kernel{.release = *release,
                .kernel = place + "/vmlinux",
                .initrd = place + "/initrd",
                .image = place + "/vmlinuz"};
}

std::string archive_apart(const std::string& initrd, std::string_view file_system) {
  return initrd + "." + std::string(file_system);
}

Result<UniqueFd> assemble_initrd(const std::string& initrd, const std::string& init,
                                 const std::vector<std::string>& file_systems,
                                 std::string_view more) {
  std::string bytes;
  const auto append = [&](const std::string& path) -> Result<> {
    NX_TRY(const std::string part, sys::read_file(AT_FDCWD, path, kMaxInitrd), "initrd");
    // An archive begins at a multiple of four bytes; the kernel skips what is zero before it.
    bytes += part;
    bytes.resize((bytes.size() + 3) & ~std::size_t{3}, '\0');
    return {};
  };
  if (!initrd.empty()) NX_CHECK(append(initrd));
  for (const std::string& name : file_systems) {
    const std::string apart = archive_apart(initrd, name);
    NX_TRY(const bool there, sys::exists(AT_FDCWD, apart));
    if (there) NX_CHECK(append(apart));
  }
  NX_TRY(const std::string program, sys::read_file(AT_FDCWD, init, kMaxInit), "agent");
  bytes += as_archive(program);
  bytes += more;
  return sys::sealed_data(bytes, "nexcage-initrd");
}

}  // namespace nexcage::vm::boot
