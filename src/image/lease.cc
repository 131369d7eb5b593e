#include "nexcage/image/lease.h"

#include <fcntl.h>

#include "nexcage/base/text.h"

namespace nexcage::image {

namespace {
constexpr std::string_view kPrefix = "lease";
}

Result<Lease> Lease::create(const Layout& layout) {
  NX_TRY(Temp file, Temp::create(layout.tmp_fd(), kPrefix, Temp::Kind::file));
  return Lease(std::move(file));
}

Result<> Lease::add(const Layout& layout, const std::vector<oci::Digest>& blobs) {
  std::string lines;
  for (const oci::Digest& blob : blobs) lines += blob.str() + "\n";
  // A sweep reads leases while it owns the blobs: with the lock shared, it comes before or after.
  NX_TRY(auto lock, layout.share_blobs());
  return sys::write_all(file_.fd(), lines);
}

Result<std::set<oci::Digest>> leased_blobs(const Layout& layout) {
  std::set<oci::Digest> blobs;
  NX_TRY(auto names, sys::list_dir(layout.tmp_fd()));
  for (const std::string& name : names) {
    if (!name.starts_with(kPrefix) || lock_dead(layout.tmp_fd(), name)) continue;
    auto file = sys::open_at(layout.tmp_fd(), name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    if (!file && file.error().sys_errno() == ENOENT) continue;
    if (!file) return fail(std::move(file).error());
    NX_TRY(const std::string text, sys::read_all(file->get()), "read " + name);
    for (const std::string& line : split(text, '\n'))
      if (auto digest = oci::Digest::parse(line)) blobs.insert(*std::move(digest));
  }
  return blobs;
}

}  // namespace nexcage::image
