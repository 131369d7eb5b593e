#include "nexcage/layerfs/drivers/erofs_probe.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <utility>

#include "nexcage/base/log.h"
#include "nexcage/layerfs/drivers/erofs_probe_image.h"
#include "nexcage/layerfs/message.h"
#include "nexcage/sys/boot.h"
#include "nexcage/sys/fs.h"

namespace nexcage::layerfs::erofs_driver {
namespace {

constexpr const char* kRemembered = ".probe.json";

/// A file with these bytes on the layers' own file system, without a name: what holds there is what
/// counts.
Result<UniqueFd> make_file(const LayerStore& store, const std::string& bytes) {
  NX_TRY(const UniqueFd file, sys::open_at(store.fd(), ".", O_TMPFILE | O_RDWR, 0600));
  NX_CHECK(sys::write_all(file.get(), bytes));
  return sys::reopen(file.get(), O_RDONLY);
}

/// Mounts the probe image in one way and reads its file.
Result<> try_mount(const LayerStore& store, Abilities abilities) {
  const unsigned block_bits = abilities.small_blocks ? 9 : 12;
  ImageFiles files;
  NX_TRY(files.image, make_file(store, probe_image(block_bits)));
  NX_TRY(UniqueFd device, make_file(store, probe_device(block_bits)));
  files.devices.push_back(std::move(device));
  NX_TRY(const sys::DetachedMount mount, mount_image(files, abilities.source));
  NX_TRY(const std::string read, sys::read_file(mount.get(), std::string(kProbeName)));
  if (read != probe_device(block_bits))
    return fail(Errc::LayerError, "EROFS reads other bytes than were written");
  return {};
}

Result<> check_permission() {
  const UniqueFd context(fsopen("erofs", FSOPEN_CLOEXEC));
  if (context) return {};
  if (errno == ENODEV) return fail(Errc::Unsupported, "this kernel has no EROFS");
  if (errno == ENOSYS) return fail(Errc::Unsupported, "this kernel has no fsopen(2)");
  return fail(Error::from_errno(Errc::Unsupported, errno, "EROFS cannot be mounted")
                  .hint("it needs root (CAP_SYS_ADMIN)"));
}

/// What was found out since the machine came up.
std::optional<Abilities> recall(const LayerStore& store, const std::string& boot) {
  const auto text = sys::read_file(store.fd(), kRemembered);
  const auto value = text ? json::parse(*text) : Result<json::Value>();
  if (!text || !value || value->text("boot") != boot) return std::nullopt;
  const Message message(*value, "probe");
  const auto loops = message.boolean("loops"), small = message.boolean("small_blocks");
  if (!loops || !small) return std::nullopt;
  return Abilities{.source = *loops ? Source::loops : Source::files, .small_blocks = *small};
}

Result<> remember(const LayerStore& store, const std::string& boot, const Abilities& abilities) {
  json::Object object;
  object.set("boot", boot);
  object.set("loops", abilities.source == Source::loops);
  object.set("small_blocks", abilities.small_blocks);
  return sys::write_file_atomic(store.fd(), kRemembered, json::dump(object), 0600,
                                sys::Durable::no);
}

}  // namespace

Result<Abilities> ask_kernel(const LayerStore& store) {
  NX_CHECK(check_permission());
  Error why(Errc::Unsupported, "no EROFS image can be mounted here");
  for (const Abilities way : {Abilities{Source::files, true}, Abilities{Source::loops, true},
                              Abilities{Source::files, false}, Abilities{Source::loops, false}}) {
    auto works = try_mount(store, way);
    if (works) return way;
    why = std::move(why).also(
        std::move(works).error().wrap("from " + std::string(source_name(way.source)) +
                                      (way.small_blocks ? ", blocks of 512" : ", blocks of 4096")));
  }
  return fail(std::move(why));
}

Result<Abilities> probe(const LayerStore& store) {
  NX_TRY(const std::string boot, sys::boot_id());
  if (const auto known = recall(store, boot)) return *known;
  NX_TRY(const Abilities abilities, ask_kernel(store));
  if (auto kept = remember(store, boot, abilities); !kept) log::debug(kept.error().message());
  return abilities;
}

}  // namespace nexcage::layerfs::erofs_driver
