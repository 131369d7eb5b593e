// Blobs on their way into the store, in {images}/.partial (mode 0700). This is all that the process
// that talks to registries may write.
//
//   <alg>-<hex>        what has come so far; flock'ed by the process that fetches it
//   <alg>-<hex>.map    which bytes of it are there (PartialMap)
//   <alg>-<hex>.done   whole, verified and durable: to be renamed into blobs/ by whoever commits
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/oci/digest.h"
#include "nexcage/registry/client/intervals.h"

namespace nexcage::registry::client {

inline constexpr std::string_view kStagingDir = ".partial";

/// What the .map file says. `written` counts only on the boot it was written in: after a power cut
/// the page cache is gone, and only `durable` can be relied on.
struct PartialMap {
  std::uint64_t size = 0;  // of the whole blob
  std::string boot;        // kernel.random.boot_id
  Intervals written, durable;
};
std::string to_text(const PartialMap& map);
/// nullopt for a text that was cut, changed or is of another version.
std::optional<PartialMap> parse_partial_map(std::string_view text);
/// What can be gone on from.
Intervals usable(const PartialMap& map, std::uint64_t size, std::string_view boot);

/// A blob being fetched; holds its lock. For one thread, but for data_fd().
class Partial {
 public:
  Partial(Partial&&) noexcept = default;
  Partial& operator=(Partial&&) noexcept = default;
  Partial(const Partial&) = delete;
  Partial& operator=(const Partial&) = delete;
  ~Partial() = default;

  /// For reading what is below have(), in any thread.
  int data_fd() const { return data_.get(); }
  std::uint64_t size() const { return map_.size; }
  const Intervals& have() const { return map_.written; }
  /// How much from the start is on the disk itself.
  std::uint64_t durable() const { return map_.durable.prefix(); }
  /// Writes bytes of the blob and notes them in the map.
  Result<> write(std::uint64_t offset, std::span<const std::byte> bytes);
  /// Everything before `end` has been fsynced.
  Result<> set_durable(std::uint64_t end);
  /// Forgets all bytes.
  Result<> start_over();
  /// Removes what has come: the blob is there under another name.
  Result<> discard();
  /// Gives the whole, verified and fsynced blob its .done name.
  Result<> publish();

 private:
  friend class Staging;
  Partial(int dir, std::string name, UniqueFd data)
      : dir_(dir), name_(std::move(name)), data_(std::move(data)) {}
  Result<> open_map(std::uint64_t size);
  Result<> save_map();

  int dir_;  // borrowed
  std::string name_;
  UniqueFd data_, map_fd_;
  PartialMap map_;
};

class Staging {
 public:
  /// Opens {images}/.partial, making it when it is missing. FileError otherwise.
  static Result<Staging> open(const std::string& images);

  enum class Found : std::uint8_t {
    nowhere,
    stored,  // in blobs/
    staged,  // in .partial, done
  };
  /// Whether a blob of this digest and size is there. It was verified when it got its name.
  Result<Found> find(const oci::Digest& digest, std::uint64_t size) const;
  /// The bytes of a small blob that find() finds; nullopt when it finds none. Not checked again.
  Result<std::optional<std::string>> read(const oci::Digest& digest, std::uint64_t size) const;
  /// Locks the blob for fetching; nullopt while another process has it.
  Result<std::optional<Partial>> try_begin(const oci::Digest& digest, std::uint64_t size) const;
  /// A small document whose digest has been checked, durably.
  Result<> add_document(const oci::Digest& digest, std::string_view text) const;

 private:
  Staging(UniqueFd images, UniqueFd dir) : images_(std::move(images)), dir_(std::move(dir)) {}
  UniqueFd images_, dir_;
};

}  // namespace nexcage::registry::client
