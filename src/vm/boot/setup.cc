#include "nexcage/vm/boot/setup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <set>

#include "nexcage/base/text.h"
#include "nexcage/json/value.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/process.h"
#include "nexcage/vm/boot/bzimage.h"
#include "nexcage/vm/boot/cpio.h"
#include "nexcage/vm/boot/modules.h"
#include "nexcage/vm/boot/slim.h"
#include "nexcage/vm/boot/tool.h"

namespace nexcage::vm::boot {
namespace {

constexpr std::chrono::minutes kToolTimeout{10};
constexpr std::size_t kMaxKernel = 512u << 20;
constexpr std::size_t kMaxModule = 64u << 20;

Result<std::string> run_in(const std::string& cwd, std::vector<std::string> argv) {
  sys::Command command;
  command.argv = std::move(argv);
  command.inherit_env = true;
  command.cwd = cwd;
  return run_tool(std::move(command));
}

/// The bytes decompressed by the program into a file.
Result<> decompress(std::string_view program, std::string_view bytes, const std::string& target) {
  NX_TRY(const UniqueFd input, sys::sealed_data(bytes, "compressed"));
  NX_TRY(const UniqueFd output,
         sys::open_at(AT_FDCWD, target, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0644));
  sys::Command command;
  command.argv = {std::string(program), "-dc"};
  command.inherit_env = true;
  NX_TRY(command.program, sys::find_program(std::string(program)));
  command.fds = {{input.get(), 0}, {output.get(), 1}};
  NX_TRY(sys::Child child, sys::Child::spawn(command));
  NX_TRY(const auto status, child.wait_for(kToolTimeout));
  if (!status) return fail(Errc::Timeout, std::string(program) + " takes too long");
  if (sys::exit_code(*status) != 0)
    return fail(Errc::RuntimeError, std::string(program) + " cannot decompress it");
  return {};
}

/// What is being worked on.
struct Work {
  sys::TempDir dir;
  std::string unpacked;  // the package's files
  std::string lib;       // the directory with "modules" in it
  std::string release;
  std::string made;  // what will be kept
};

/// The package that a meta package stands for: the first of its dependencies that is a kernel.
Result<std::string> real_package(const std::string& name) {
  NX_TRY(const std::string text, run_in("/", {"apt-cache", "depends", "--important", name}));
  for (const std::string& line : split(text, '\n')) {
    const std::string_view word = trim(line);
    constexpr std::string_view kDepends = "Depends: ";
    if (word.starts_with(kDepends) && word.substr(kDepends.size()).starts_with("linux-image-"))
      return std::string(word.substr(kDepends.size()));
  }
  return name;
}

Result<std::string> package_file(const SetupOptions& options, const sys::TempDir& dir) {
  if (!options.package_file.empty()) return sys::clean_path(options.package_file);
  NX_TRY(const std::string package, real_package(options.package_name));
  // As root apt-get would become a user that cannot write here.
  NX_CHECK(
      run_in(dir.path(), {"apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", package}),
      "download " + package);
  NX_TRY(const auto names, sys::list_dir(dir.fd()));
  for (const std::string& name : names)
    if (name.ends_with(".deb")) return dir.path() + "/" + name;
  return fail(Errc::RuntimeError, "apt-get has downloaded no package");
}

Result<> find_release(Work& work) {
  for (const char* place : {"/usr/lib", "/lib"}) {
    const std::string lib = work.unpacked + place;
    auto dir = sys::open_at(AT_FDCWD, lib + "/modules", O_RDONLY | O_DIRECTORY);
    if (!dir) continue;
    NX_TRY(const auto names, sys::list_dir(dir->get()));
    if (names.size() != 1) continue;
    work.lib = lib;
    work.release = names.front();
    return {};
  }
  return fail(Errc::InvalidImage, "the package holds no kernel with its modules");
}

Result<> make_kernel(const Work& work) {
  const std::string file = work.unpacked + "/boot/vmlinuz-" + work.release;
  NX_TRY(const std::string image, sys::read_file(AT_FDCWD, file, kMaxKernel), "kernel");
  NX_TRY(const Payload payload, find_payload(image), file);
  NX_CHECK(decompress(payload.program, payload.bytes, work.made + "/vmlinux"));
  // For the boot loaders of machines that are not started with a kernel.
  return sys::write_file_atomic(work.made + "/vmlinuz", image, 0644, sys::Durable::yes);
}

Result<std::string> read_module(const Work& work, const std::string& file) {
  const std::string path = work.lib + "/modules/" + work.release + "/" + file;
  NX_TRY(std::string bytes, sys::read_file(AT_FDCWD, path, kMaxModule), "kernel module");
  const std::string_view program = file.ends_with(".xz")    ? "xz"
                                   : file.ends_with(".zst") ? "zstd"
                                   : file.ends_with(".gz")  ? "gzip"
                                                            : "";
  if (program.empty()) return bytes;
  const std::string plain = work.dir.path() + "/module";
  NX_CHECK(decompress(program, bytes, plain), file);
  return sys::read_file(AT_FDCWD, plain, kMaxModule);
}

/// Both kinds of archives.
struct Chosen {
  std::vector<Module> common, apart;
};

Result<Chosen> choose_modules(const Work& work) {
  // depmod looks below lib/modules of a directory.
  const std::string base = work.lib.substr(0, work.lib.rfind("/lib"));
  NX_CHECK(run_in("/", {"depmod", "-b", base, work.release}));
  NX_TRY(const std::string text,
         sys::read_file(AT_FDCWD, work.lib + "/modules/" + work.release + "/modules.dep"));
  Chosen chosen;
  NX_TRY(chosen.common, plan_modules(text, wanted_modules()));
  NX_TRY(chosen.apart, plan_modules(text, modules_apart()));
  return chosen;
}

Result<> make_archive(const Work& work, const std::vector<Module>& modules, const std::string& list,
                      const std::string& target) {
  CpioWriter archive;
  archive.directory("modules", 0755);
  archive.file("modules/" + list, 0644, module_list(modules));
  std::set<std::string> done;
  for (const Module& module : modules)
    for (const std::string& file : module.files) {
      if (!done.insert(file).second) continue;
      NX_TRY(const std::string bytes, read_module(work, file));
      archive.file("modules/" + plain_name(file), 0644, slim_module(bytes));
    }
  return sys::write_file_atomic(target, std::move(archive).finish(), 0644, sys::Durable::yes);
}

Result<> make_initrd(const Work& work, const Chosen& chosen) {
  const std::string initrd = work.made + "/initrd";
  NX_CHECK(make_archive(work, chosen.common, "list", initrd));
  for (const Module& module : chosen.apart)
    NX_CHECK(
        make_archive(work, {module}, "list." + module.name, archive_apart(initrd, module.name)));
  return {};
}

Result<> write_config(const Work& work, const std::string& package, const Chosen& chosen) {
  json::Object config;
  config.set("release", work.release);
  config.set("package", package.substr(package.rfind('/') + 1));
  json::Array names;
  for (const auto* modules : {&chosen.common, &chosen.apart})
    for (const Module& module : *modules) names.emplace_back(module.name);
  config.set("modules", std::move(names));
  return sys::write_file_atomic(work.made + "/config.json",
                                json::dump(json::Value(std::move(config))) + "\n", 0644,
                                sys::Durable::yes);
}

/// Puts what was made in its place. The link is changed last, and in one step.
Result<> keep(const Work& work, const std::string& directory) {
  NX_TRY(const UniqueFd vmlinux, sys::open_at(AT_FDCWD, work.made + "/vmlinux", O_RDONLY));
  NX_CHECK(sys::fsync_fd(vmlinux.get(), "vmlinux"));
  const std::string place = directory + "/" + work.release;
  NX_CHECK(sys::remove_tree(place));
  if (::rename(work.made.c_str(), place.c_str()) < 0) return fail_errno("keep " + place);
  const std::string link = work.dir.path() + "/default";
  if (::symlink(work.release.c_str(), link.c_str()) < 0) return fail_errno("make a link");
  if (::rename(link.c_str(), (directory + "/default").c_str()) < 0)
    return fail_errno("make " + work.release + " the default");
  NX_TRY(const UniqueFd parent, sys::open_at(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY));
  return sys::fsync_fd(parent.get(), directory);
}

}  // namespace

Result<Kernel> setup(const SetupOptions& options) {
  const auto say = [&](const std::string& step) {
    if (options.progress) options.progress(step);
  };
  NX_CHECK(sys::mkdirs(options.directory, 0755));
  NX_TRY(sys::TempDir dir, sys::TempDir::create(options.directory, "setup"));
  Work work{.dir = std::move(dir), .unpacked = {}, .lib = {}, .release = {}, .made = {}};
  work.unpacked = work.dir.path() + "/package";
  work.made = work.dir.path() + "/made";
  if (::mkdir(work.made.c_str(), 0755) < 0) return fail_errno("make " + work.made);
  if (options.package_file.empty()) say("Downloading " + options.package_name);
  NX_TRY(const std::string package, package_file(options, work.dir));
  say("Unpacking " + package.substr(package.rfind('/') + 1));
  NX_CHECK(run_in("/", {"dpkg-deb", "-x", package, work.unpacked}));
  NX_CHECK(find_release(work));
  say("Preparing kernel " + work.release);
  NX_CHECK(make_kernel(work));
  NX_TRY(const Chosen modules, choose_modules(work));
  NX_CHECK(make_initrd(work, modules));
  NX_CHECK(write_config(work, package, modules));
  NX_CHECK(keep(work, options.directory));
  return find_kernel(options.directory);
}

}  // namespace nexcage::vm::boot
