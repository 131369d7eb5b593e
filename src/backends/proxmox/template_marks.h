// What this machine remembers of the template guests that it has made: a file for each, with the
// random token that is also in the guest's notes. A guest without a file, or with other notes, is
// none of ours, whatever its tags say: a guest made of it would run what somebody else has put
// there.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "nexcage/backends/proxmox/guest.h"
#include "nexcage/sys/fs.h"

namespace nexcage::backends::proxmox {

class TemplateMarks {
 public:
  /// {work}/@templates, made if it is missing. `work`: ProxmoxSetup's; ConfigError without one.
  static Result<TemplateMarks> open(const std::string& work);
  /// Held while a template guest is looked for and made: two commands make one, not two.
  Result<sys::FileLock> lock() const;

  /// The file's name for an image on a storage of a node.
  static std::string name(const std::string& node, const std::string& storage,
                          const std::string& short_digest);
  /// The guest; nullopt: there is no such file.
  Result<std::optional<GuestName>> load(const std::string& name) const;
  Result<> save(const std::string& name, const GuestName& guest) const;
  Result<> forget(const std::string& name) const;
  /// An upload that has come to its end: its size. One that is cut short is listed by its storage
  /// as a whole one is. nullopt: there is no such file.
  Result<std::optional<std::uint64_t>> load_upload(const std::string& volume) const;
  Result<> save_upload(const std::string& volume, std::uint64_t bytes) const;
  /// All names of template guests.
  Result<std::vector<std::string>> names() const;

 private:
  explicit TemplateMarks(std::string dir) : dir_(std::move(dir)) {}
  std::string path(const std::string& name) const { return dir_ + "/" + name; }
  std::string upload_path(const std::string& volume) const;
  std::string dir_;
};

}  // namespace nexcage::backends::proxmox
