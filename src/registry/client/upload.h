// Bringing one blob to a registry (distribution-spec, "Push"): not at all when it is there, by a
// mount from another repository of the same registry, else in chunks, each gone on with from where
// the registry says it is.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "nexcage/oci/digest.h"
#include "nexcage/registry/client/remote.h"

namespace nexcage::registry::client {

struct UploadSettings {
  std::uint64_t chunk = 32u << 20;  // bytes; one that is larger than a blob sends it whole
};

enum class Uploaded : std::uint8_t { was_there, mounted, sent };
std::string_view upload_state(Uploaded how);  // "present", "mounted", "done"

/// A range of a file, read with pread(2). The descriptor is borrowed.
class FileRange final : public BodySource {
 public:
  FileRange(int fd, std::uint64_t offset, std::uint64_t size)
      : fd_(fd), offset_(offset), size_(size) {}
  std::uint64_t size() const override { return size_; }
  Result<std::size_t> read(std::uint64_t offset, std::span<std::byte> buffer) override;

 private:
  int fd_;
  std::uint64_t offset_, size_;
};

/// One upload to one registry.
class BlobUpload {
 public:
  struct Blob {
    oci::Digest digest;
    std::uint64_t size = 0;
    int fd = -1;  // borrowed
  };
  /// `mount_from`: repositories of this registry that may have the blob.
  BlobUpload(Remote& remote, Blob blob, const std::vector<std::string>& mount_from,
             const UploadSettings& settings)
      : remote_(remote),
        blob_(std::move(blob)),
        mount_from_(mount_from),
        settings_(settings),
        what_("blob " + blob_.digest.str()) {}

  /// Ok when the registry has said that it has the whole blob. Errors as Remote::ask_ok().
  Result<Uploaded> run();

 private:
  Ask ask(Method method, std::string target) const;
  Result<bool> is_there();
  Result<bool> mount(const std::string& from);
  void cancel();
  Result<> begin();
  Result<> take_location(const Finished& done);
  Result<> send();
  Result<> send_chunk();
  Result<> ask_offset();
  Result<> finish();

  Remote& remote_;
  Blob blob_;
  const std::vector<std::string>& mount_from_;
  const UploadSettings& settings_;
  std::string what_;
  std::string location_;      // of the session; empty: none is open
  std::uint64_t offset_ = 0;  // what the registry has of it
  std::uint64_t least_ = 0;   // OCI-Chunk-Min-Length
};

/// The number of bytes that "0-1023" of an upload's Range header stands for; nullopt for anything
/// else. Pure.
std::optional<std::uint64_t> parse_upload_range(std::string_view text);

}  // namespace nexcage::registry::client
