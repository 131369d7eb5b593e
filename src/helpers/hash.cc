// Hashing prepared files, as a confined process.
#include <fcntl.h>
#include <linux/capability.h>

#include <optional>

#include "nexcage/helpers/confine.h"
#include "nexcage/helpers/subcommand.h"
#include "nexcage/image/content/stream.h"
#include "nexcage/layerfs/batch.h"
#include "nexcage/layerfs/hasher.h"
#include "nexcage/sys/fs.h"

namespace nexcage::helpers {
namespace {

Result<oci::Digest> hash_file(const std::string& path) {
  NX_TRY(const UniqueFd fd, sys::open_at(AT_FDCWD, path, O_RDONLY | O_NOFOLLOW));
  image::content::FdSource source(fd.get(), path);
  NX_TRY(image::content::Hasher hasher, image::content::Hasher::create());
  std::vector<std::byte> buffer(std::size_t{256} << 10);
  while (true) {
    NX_TRY(const std::size_t got, source.read(buffer));
    if (got == 0) return hasher.finish();
    hasher.update(std::span(buffer).first(got));
  }
}

}  // namespace

Result<json::Value> run_hash(const json::Value& request) {
  NX_TRY(const std::vector<std::string> paths, layerfs::parse_hash_request(request));
  NX_CHECK(confine({.read_only = paths,
                    .read_write = {},
                    .capabilities = sys::CapSet{1} << CAP_DAC_READ_SEARCH}),
           "confine the hasher");
  std::vector<std::optional<oci::Digest>> found(paths.size());
  const layerfs::BatchResult done =
      layerfs::run_batch({.count = paths.size(), .work = [&](std::size_t i) -> Result<> {
                            NX_TRY(found[i], hash_file(paths[i]));
                            return {};
                          }});
  std::vector<Result<oci::Digest>> digests;
  digests.reserve(paths.size());
  for (std::size_t i = 0; i < paths.size(); ++i) {
    if (done.items[i])
      digests.emplace_back(*std::move(found[i]));
    else
      digests.emplace_back(std::unexpected(done.items[i].error()));
  }
  return layerfs::hash_answer(digests);
}

}  // namespace nexcage::helpers
