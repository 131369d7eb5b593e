// LayerFS makes an ordered stack of layers into a root file system. This is its whole public face:
// nothing above it knows which driver is used.
//
// Terms (containerd's): a layer is *prepared* when its content is on this host in the driver's own
// form, verified, durable and shared by every image that has it; a stack of prepared layers is
// *mounted* for a container with a private writable upper; *released* when the container goes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/image/store.h"
#include "nexcage/json/value.h"
#include "nexcage/layerfs/metadata_cache.h"
#include "nexcage/oci/digest.h"

namespace nexcage::layerfs {

/// One layer of a stack as LayerFS identifies it.
struct Layer {
  oci::Digest diff_id;
  oci::Digest chain_id;  // of this and all below
};

/// The layers of an image, lowest first.
std::vector<Layer> layers_of(const image::Image& image);

/// A prepared stack, lowest first. Plain value; `key`s name directories of the driver.
struct PreparedStack {
  std::string driver;
  std::vector<Layer> layers;
  std::vector<std::string> keys;
};

enum class Access : std::uint8_t { read_write, read_only };

/// Where a container's mount lives. All directories exist and belong to the caller.
struct MountPoint {
  std::string target;  // where the merged tree is attached
  std::string upper;   // directory for the writable upper and work directories (same file system)
  /// Driver zfs, in place of an upper: the dataset that is the container's, and the token that it
  /// carries as long as it is this container's.
  std::string dataset{};
  std::string token{};
};

/// Is what the container wrote there already?
enum class Storage : std::uint8_t {
  fresh,  // no: MountPoint::upper is an empty directory
  kept,   // yes: left there by an earlier mount, by the same driver and in this boot
};

struct MountOptions {
  Access access = Access::read_write;
  Storage storage = Storage::fresh;
  /// The container's writes go to a tmpfs that goes with the mount: its size in bytes, 0 for the
  /// kernel's default (half of the memory). MountPoint::upper stays empty, whatever `storage` says.
  std::optional<std::uint64_t> tmpfs_upper{};
  /// A user namespace (borrowed): the tree's owners are seen through its maps, and what its root
  /// writes is root's on disk. -1: none.
  int user_namespace = -1;
  std::uint32_t root_uid = 0, root_gid = 0;  // the namespace's root on the host
  /// Driver zfs: bytes that the tree may take, the image's files included.
  std::optional<std::uint64_t> size{};
};

/// What is kept of a mount for as long as it lasts: with it any process can undo it.
struct MountRecord {
  std::string driver;
  MountPoint at;
  std::string key;     // prepared thing whose mount containers share; of the driver's own meaning
  std::string method;  // how it was mounted ("merged, from files"): for people
};
json::Value to_json(const MountRecord& record);
/// InvalidJson naming the member that is missing or of the wrong type.
Result<MountRecord> mount_record_from_json(const json::Value& value);

/// A file system image of a stack, for another kernel to mount. Open for reading.
struct StackImage {
  UniqueFd image;
  std::vector<UniqueFd> devices;  // where its data is, in the order of its device table
};

/// One prepared thing: what `layer list` shows.
struct Prepared {
  std::string key;
  std::string kind;           // "tar", "merged", "index", "full", "tree"; "damaged": unknown
  std::uint64_t bytes = 0;    // on disk, without what else it refers to
  std::uint64_t entries = 0;  // files, directories and so on
  std::vector<oci::Digest> diff_ids{};    // layers it serves, lowest first
  std::optional<oci::Digest> chain_id{};  // of the highest of them; none: good in any stack
  std::optional<oci::Digest> parent{};    // chain ID of what must be below the lowest
  std::uint32_t references = 0;           // mounts that use it
};

/// Turns one blob into a prepared layer. Runs libexec/nexcage/image: tar, gzip and zstd are never
/// parsed in the privileged front process. Injected so that tests can run in-process.
struct UnpackJob {
  std::string blob_path;  // compressed layer in the store
  oci::Compression compression{};
  oci::Digest digest;  // of the blob
  oci::Digest diff_id;
  std::uint64_t size = 0;           // of the blob
  std::string target;               // an empty directory to fill
  std::vector<std::string> lowers;  // prepared directories below, nearest parent first
};
struct UnpackResult {
  bool self_contained = true;  // nothing was looked up in `lowers`: may be shared by diff ID
  std::uint64_t bytes = 0, entries = 0;
  bool root_entry = false;   // the layer describes the root directory itself
  bool root_opaque = false;  // the layer hides everything below it
};
using Unpacker = std::function<Result<UnpackResult>(const UnpackJob&)>;

/// What a conversion writes besides the layers' tars.
enum class ConvertForm : std::uint8_t {
  merged,  // one EROFS index of the whole stack, its data in the tars
  index,   // one EROFS index a layer, its data in that layer's tar; overlayfs' whiteouts and marks
  full,    // one EROFS image of the whole stack with its data, blocks of 4 KiB
  plain,   // the files themselves, in a directory
};
/// "merged", "index", "full", "plain".
std::string_view form_name(ConvertForm form);

/// Turns the blobs of a whole stack into what an EROFS or a plain tree is made of. Runs
/// libexec/nexcage/image, as an Unpacker does; what it is to write lies in directories that the
/// caller made and removes if this fails.
struct ConvertJob {
  struct LayerIn {
    std::string blob_path;  // of the store; not read, and may be empty, when the tar is there
    oci::Compression compression{};
    oci::Digest digest;  // of the blob
    oci::Digest diff_id;
    std::uint64_t size = 0;     // of the blob
    std::string tar_path;       // the layer without its compression
    bool tar_is_there = false;  // else: to be created (new, 0400) and synced
  };
  std::vector<LayerIn> layers;  // lowest first
  ConvertForm form{};
  /// merged, full: one file to be created (new, 0400) and synced. index: as many as layers; an
  /// empty path for one that is not wanted. plain: one empty directory to fill, or none: then the
  /// layers are read, applied and checked, but nothing is written except tars.
  std::vector<std::string> outputs;
};
struct ConvertResult {
  struct LayerOut {
    std::uint64_t tar_bytes = 0;   // size of the tar
    std::uint64_t entries = 0;     // members
    std::uint64_t file_bytes = 0;  // sum of the sizes of its regular files
    bool root_opaque = false;      // the layer hides everything below it
  };
  std::vector<LayerOut> layers;  // one for each of the job
  struct Output {
    std::optional<oci::Digest> digest;  // SHA-256 of the file; none for a directory or empty path
    std::uint64_t bytes = 0;            // of the file
    /// Numbers of the job's layers whose tars are the image's devices, in the order of its table.
    /// merged: all. index: the layer's own, and lower ones whose data a hard link needs.
    std::vector<std::uint32_t> devices{};
  };
  std::vector<Output> outputs;  // one for each of the job
};
using Converter = std::function<Result<ConvertResult>(const ConvertJob&)>;

/// A way of keeping and mounting layers. Contract (tests/contract/layerfs_driver_test.cc):
/// prepare is idempotent and safe beside another process doing the same; a crash leaves nothing
/// that a later prepare takes for complete; mount never changes a prepared layer. All methods may
/// be called from several threads at once.
class Driver {
 public:
  virtual ~Driver() = default;
  virtual std::string_view name() const = 0;
  /// Works on this host? Says why not. May keep the answer in the layers directory.
  virtual Result<> probe() const = 0;
  /// Makes all layers of the image present. InvalidImage naming the blob when its size, digest or
  /// diff ID is wrong; LayerError for what LayerFS itself could not do.
  virtual Result<PreparedStack> prepare(const image::Store& store, const image::Image& image) = 0;
  /// A directory for layers that somebody inflates anyway (image/inflated.h): a later prepare() of
  /// this object takes those it needs. It goes with the object. Empty: the driver has no use for
  /// them.
  virtual Result<std::string> open_inbox() { return std::string(); }

  /// What mount() is going to make: for the caller's undo log. Touches nothing.
  virtual MountRecord plan(const PreparedStack& stack, const MountPoint& at) const = 0;
  /// Finishes what dead processes of this driver left half made. The store's other methods do it
  /// too, when they come by; this is for the command after a crash.
  virtual Result<> sweep() = 0;
  /// Attaches the merged tree at `at.target`. When it fails it leaves nothing behind but what
  /// Storage::kept says is there.
  virtual Result<MountRecord> mount(const PreparedStack& stack, const MountPoint& at,
                                    const MountOptions& options) = 0;
  /// Detaches the tree. What was written to it stays in MountPoint::upper, which is the caller's to
  /// remove. Not mounted is success.
  virtual Result<> unmount(const MountRecord& record) = 0;

  /// The stack as EROFS images, lowest first, each of which hides nothing of those below; an image
  /// without layers has none. The files stay readable when the layers are removed meanwhile.
  /// Unsupported by drivers that keep no such files.
  virtual Result<std::vector<StackImage>> images(const PreparedStack& stack) const;

  /// All that is prepared, in the order of the keys.
  virtual Result<std::vector<Prepared>> list() const = 0;
  /// Reads these again and compares with the digests they had: one result for each key. LayerError
  /// for what differs; Unsupported where nothing was kept to compare with.
  virtual std::vector<Result<>> verify(std::span<const std::string> keys) const = 0;
  /// Removes these: bytes freed, one result for each key. InvalidState for one in use.
  virtual std::vector<Result<std::uint64_t>> remove(std::span<const std::string> keys) = 0;
};

/// SHA-256 of files, one result for each: reads them in libexec/nexcage/image.
using Hasher =
    std::function<Result<std::vector<Result<oci::Digest>>>(const std::vector<std::string>& paths)>;

/// Records of prepared things (done.json), by path; one for all drivers of a process.
using RecordCache =
    MetadataCache<std::string, std::shared_ptr<const json::Value>, std::hash<std::string>>;

struct Options {
  std::string root;             // "/var/lib/nexcage/layers"
  std::string driver = "auto";  // auto, erofs, overlay, copy, zfs
  std::string zfs_dataset{};    // driver zfs: the dataset below which images and containers lie
  std::string zfs_cloner{};     // driver zfs: path of libexec/nexcage/zfs; empty: zfs(8) clones
  Unpacker unpack{};
  Converter convert{};
  Hasher hash{};
  bool protect = true;  // prepared files get fs-verity or the immutable flag
  /// Driver erofs: merged, index or full; none: the best that this kernel can mount.
  std::optional<ConvertForm> form{};
  std::shared_ptr<RecordCache> records{};  // none: every question is answered from the disk
};

/// Chooses and opens the driver. ConfigError for an unknown name, Unsupported (with the reason
/// from probe) for one that this host cannot do; `auto` takes the best that works.
Result<std::unique_ptr<Driver>> open(Options options);
/// The driver of this name without a probe: for what it has prepared and mounted already.
/// ConfigError for a name that this build does not know.
Result<std::unique_ptr<Driver>> open_unprobed(const std::string& name, Options options);
/// The drivers that have prepared anything below the options' root, without a probe.
Result<std::vector<std::unique_ptr<Driver>>> open_used(const Options& options);
/// Names this build knows, best first; "zfs", which `auto` never takes, last.
std::vector<std::string> driver_names();
/// Undoes a mount of any driver (for undo logs): `root` is Options::root.
Result<> undo_mount(const std::string& root, const MountRecord& record);
/// Driver::sweep() of a driver by name; one that this build does not know has nothing.
Result<> sweep(const std::string& root, const std::string& driver);

}  // namespace nexcage::layerfs
