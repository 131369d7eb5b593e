#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <optional>
#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/layerfs/converter.h"
#include "nexcage/layerfs/hasher.h"
#include "nexcage/layerfs/unpacker.h"
#include "nexcage/runtime/owner.h"
#include "nexcage/runtime/paths.h"
#include "nexcage/runtime/pull.h"
#include "nexcage/runtime/runtime.h"
#include "nexcage/runtime/undo.h"
#include "nexcage/sys/fs.h"

namespace nexcage::runtime {
namespace {

/// The root of states: 0711, so that a container's user namespace can be entered through it, the
/// directories of containers below it are 0700.
Result<> open_root(const Settings& settings) {
  const Paths paths(settings);
  NX_TRY(bool known, sys::exists(AT_FDCWD, paths.undo_dir()));
  if (known) {
    recover(paths.undo_dir());
    return {};
  }
  NX_CHECK(sys::mkdirs(settings.root, 0711), "state root");
  // The first command since the machine came up (the root is a tmpfs): what the last boot's
  // containers left on disk goes.
  NX_CHECK(settle_earlier_boots(settings));
  if (mkdir(paths.undo_dir().c_str(), 0700) != 0 && errno != EEXIST)
    return fail_errno("create " + paths.undo_dir());
  return {};
}

std::unexpected<Error> bad_setting(const std::string& key, const std::string& value,
                                   const std::string& words) {
  return fail(
      Error(Errc::ConfigError, key + ": unknown value " + quote(value)).hint("One of: " + words));
}

/// The form of what driver erofs prepares; none: the best that the kernel can mount.
Result<std::optional<layerfs::ConvertForm>> layer_form(const std::string& word) {
  using layerfs::ConvertForm;
  if (word == "auto") return std::optional<ConvertForm>();
  for (const ConvertForm form : {ConvertForm::merged, ConvertForm::index, ConvertForm::full})
    if (word == layerfs::form_name(form)) return std::optional(form);
  return bad_setting("layerfs.form", word, "auto, merged, index, full");
}

/// Records of layers that one process keeps in memory.
constexpr std::size_t kMostRecords = 4'096;

/// The driver and dataset that go with a storage.
void apply(const storage::Choice& choice, layerfs::Options& options) {
  if (!choice.layerfs.empty()) options.driver = choice.layerfs;
  if (options.driver == "zfs") options.zfs_dataset = choice.location;
}

Result<layerfs::Options> layer_options(const Settings& settings,
                                       std::shared_ptr<layerfs::RecordCache> records) {
  if (settings.layerfs_protect != "auto" && settings.layerfs_protect != "off")
    return bad_setting("layerfs.protect", settings.layerfs_protect, "auto, off");
  NX_TRY(const auto form, layer_form(settings.layerfs_form));
  return layerfs::Options{.root = settings.layers,
                          .driver = settings.layerfs,
                          .zfs_cloner = settings.libexec + "/zfs",
                          .unpack = layerfs::helper_unpacker(settings.libexec),
                          .convert = layerfs::helper_converter(settings.libexec),
                          .hash = layerfs::helper_hasher(settings.libexec),
                          .protect = settings.layerfs_protect == "auto",
                          .form = form,
                          .records = std::move(records)};
}

}  // namespace

Result<Services> Services::open(const Settings& settings) {
  NX_CHECK(open_root(settings));
  Services services;
  services.settings = settings;
  if (services.settings.proxmox.work.empty())
    services.settings.proxmox.work = settings.containers + "/@work";
  services.open_backend = [settings = services.settings](const std::string& name) {
    return backends::open(name, {.libexec = settings.libexec,
                                 .root = settings.root,
                                 .cgroup_parent = settings.cgroup_parent,
                                 .crun = settings.crun,
                                 .runc = settings.runc,
                                 .vm = {.kernel = settings.vm_kernel,
                                        .initrd = settings.vm_initrd,
                                        .qemu = settings.qemu,
                                        .accelerator = settings.vm_accelerator,
                                        .board = settings.vm_board,
                                        .memory = settings.vm_memory,
                                        .boot_timeout = settings.vm_boot_timeout},
                                 .invocation = settings.invocation,
                                 .proxmox = settings.proxmox});
  };
  services.records = std::make_shared<layerfs::RecordCache>(kMostRecords);
  services.open_layerfs =
      [settings, records = services.records](
          const storage::Choice& choice) -> Result<std::unique_ptr<layerfs::Driver>> {
    NX_TRY(layerfs::Options options, layer_options(settings, records));
    apply(choice, options);
    return layerfs::open(std::move(options));
  };
  services.open_disk_layers =
      [settings, records = services.records]() -> Result<std::unique_ptr<layerfs::Driver>> {
    NX_TRY(layerfs::Options options, layer_options(settings, records));
    // Whole blocks and one disk: every kernel since 5.10 mounts it.
    options.form = layerfs::ConvertForm::full;
    return layerfs::open_unprobed("erofs", std::move(options));
  };
  services.used_layerfs =
      [settings,
       records = services.records]() -> Result<std::vector<std::unique_ptr<layerfs::Driver>>> {
    NX_TRY(const layerfs::Options options, layer_options(settings, records));
    return layerfs::open_used(options);
  };
  services.pull = [with = services](const std::string& image, const storage::Choice& storage) {
    return pull_ready(image, {}, {}, with, storage);
  };
  return services;
}

}  // namespace nexcage::runtime
