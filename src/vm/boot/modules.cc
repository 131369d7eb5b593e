#include "nexcage/vm/boot/modules.h"

#include <algorithm>
#include <array>
#include <map>

#include "nexcage/base/text.h"

namespace nexcage::vm::boot {
namespace {

// crc32c_generic: erofs needs it through libcrc32c, which does not say so in modules.dep.
constexpr std::array<std::string_view, 10> kWanted = {
    "virtio_pci", "virtio_mmio", "virtio_console", "virtio_blk", "erofs",
    "overlay",    "virtiofs",    "virtio_net",     "ext4",       "squashfs"};
constexpr std::array<std::string_view, 1> kApart = {"xfs"};
constexpr std::string_view kHiddenNeed = "crc32c_generic";

/// "kernel/fs/fuse/virtiofs.ko.xz" -> "virtiofs". File names may have "-" where names have "_".
std::string module_name(std::string_view file) {
  std::string name = plain_name(file);
  name.resize(name.size() - std::string_view(".ko").size());
  std::ranges::replace(name, '-', '_');
  return name;
}

}  // namespace

std::span<const std::string_view> wanted_modules() { return kWanted; }

std::span<const std::string_view> modules_apart() { return kApart; }

std::string plain_name(std::string_view file) {
  const std::size_t slash = file.rfind('/');
  if (slash != std::string_view::npos) file.remove_prefix(slash + 1);
  const std::size_t end = file.find(".ko");
  return std::string(file.substr(0, end)) + ".ko";
}

Result<std::vector<Module>> plan_modules(std::string_view modules_dep,
                                         std::span<const std::string_view> wanted) {
  std::map<std::string, std::vector<std::string>, std::less<>> known;
  for (const std::string& line : split(modules_dep, '\n')) {
    if (line.empty()) continue;
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) return fail(Errc::FileError, "modules.dep: " + quote(line));
    std::vector<std::string> files;
    for (std::string& file : split(std::string_view(line).substr(colon + 1), ' '))
      if (!file.empty()) files.push_back(std::move(file));
    std::ranges::reverse(files);
    files.push_back(line.substr(0, colon));
    known[module_name(files.back())] = std::move(files);
  }
  std::vector<Module> out;
  for (const std::string_view name : wanted) {
    const auto found = known.find(name);
    if (found == known.end()) continue;
    Module module{.name = std::string(name), .files = found->second};
    const auto hidden = known.find(kHiddenNeed);
    if (name == "erofs" && hidden != known.end())
      module.files.insert(module.files.begin(), hidden->second.begin(), hidden->second.end());
    out.push_back(std::move(module));
  }
  return out;
}

std::string module_list(const std::vector<Module>& modules) {
  std::string out;
  for (const Module& module : modules) {
    out += module.name;
    for (const std::string& file : module.files) out += " " + plain_name(file);
    out += "\n";
  }
  return out;
}

}  // namespace nexcage::vm::boot
