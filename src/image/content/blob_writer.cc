#include "nexcage/image/content/blob_writer.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "nexcage/image/content/tar_reader.h"
#include "nexcage/sys/fs.h"

namespace nexcage::image::content {

namespace {

/// Passes bytes on and writes them to a file.
class Recorder final : public ByteSource {
 public:
  Recorder(ByteSource& from, int fd) : from_(from), fd_(fd) {}
  Result<std::size_t> read(std::span<std::byte> buffer) override {
    NX_TRY(std::size_t n, from_.read(buffer));
    NX_CHECK(sys::write_all(fd_, {reinterpret_cast<const char*>(buffer.data()), n}), "write blob");
    return n;
  }

 private:
  ByteSource& from_;
  int fd_;
};

std::string_view media_type_of(oci::Compression compression) {
  switch (compression) {
    case oci::Compression::none:
      return oci::media::kLayerTar;
    case oci::Compression::gzip:
      return oci::media::kLayerGzip;
    case oci::Compression::zstd:
      return oci::media::kLayerZstd;
  }
  return oci::media::kLayerTar;
}

/// Algorithm to hash with: that of the promise, so that the two can be compared.
std::string_view algorithm_of(const std::optional<oci::Digest>& promised) {
  return promised ? promised->algorithm() : "sha256";
}

Result<> read_tar(ByteSource& source) {
  TarReader reader(source);
  while (true) {
    NX_TRY(auto entry, reader.next());
    if (!entry) return {};
  }
}

Result<> check_promise(const std::string& what, const std::optional<oci::Digest>& promised,
                       const oci::Digest& actual) {
  if (!promised || *promised == actual) return {};
  return fail(Errc::InvalidImage,
              what + " has digest " + actual.str() + ", not " + promised->str());
}

}  // namespace

/// True when the promised blob is in the store and its content is what digest and diff ID say. A
/// damaged one is written again.
Result<bool> BlobWriter::is_there(const SourceLayer& layer, std::uint64_t& size) const {
  if (!layer.digest || !layer.diff_id) return false;
  NX_TRY(auto found, sys::stat_at(layout_.fd(), layer.digest->blob_path()));
  if (!found || !S_ISREG(found->st_mode)) return false;
  size = static_cast<std::uint64_t>(found->st_size);
  if (layer.size && *layer.size != size) return false;
  NX_TRY(UniqueFd fd,
         layout_.open_blob(make_descriptor(oci::media::kLayerTar, *layer.digest, size)));
  NX_TRY(auto stream, LayerStream::open(fd.get(), {.digest = *layer.digest,
                                                   .size = size,
                                                   .compression = layer.compression,
                                                   .diff_id = *layer.diff_id}));
  return stream->finish().has_value();
}

Result<BlobWriter::Layer> BlobWriter::add_layer(const SourceLayer& layer, CheckTar check_tar) {
  std::uint64_t size = 0;
  NX_TRY(bool there, is_there(layer, size), layer.what);
  if (there)
    return Layer{.blob = make_descriptor(media_type_of(layer.compression), *layer.digest, size),
                 .diff_id = *layer.diff_id};
  NX_TRY(Layer added, copy_layer(layer, check_tar), layer.what);
  return added;
}

Result<BlobWriter::Layer> BlobWriter::copy_layer(const SourceLayer& layer, CheckTar check_tar) {
  NX_TRY(Temp file, Temp::create(layout_.tmp_fd(), "blob", Temp::Kind::file));
  NX_TRY(auto source, layer.open());
  Recorder recorder(*source, file.fd());
  NX_TRY(auto blob, HashingSource::create(recorder, algorithm_of(layer.digest)));
  NX_TRY(auto inflated, inflate(*blob, layer.compression));
  NX_TRY(auto tar, HashingSource::create(*inflated, algorithm_of(layer.diff_id)));
  // The blob's own digest is looked at first: damaged data is then called a wrong digest, not
  // whatever the inflater or the tar reader makes of it.
  Result<> content = check_tar == CheckTar::yes ? read_tar(*tar) : Result<>();
  auto rest = content ? drain(*tar) : Result<std::uint64_t>(fail(content.error()));
  bool damaged = !rest && rest.error().code() == Errc::InvalidImage;
  if (!rest && !damaged) return fail(std::move(rest).error());
  NX_CHECK(drain(*blob));
  oci::Digest digest = blob->finish();
  if (layer.size && blob->bytes() != *layer.size)
    return fail(Errc::InvalidImage, "the blob has " + std::to_string(blob->bytes()) +
                                        " bytes, not " + std::to_string(*layer.size));
  NX_CHECK(check_promise("the blob", layer.digest, digest));
  if (damaged) return fail(std::move(rest).error());
  oci::Digest diff_id = tar->finish();
  NX_CHECK(check_promise("the inflated content (diff ID)", layer.diff_id, diff_id));
  NX_CHECK(publish(std::move(file), digest));
  return Layer{.blob = make_descriptor(media_type_of(layer.compression), digest, blob->bytes()),
               .diff_id = std::move(diff_id)};
}

Result<> BlobWriter::add_document(const SourceDocument& document) {
  std::string what = "blob " + document.descriptor.digest.str();
  NX_TRY(Temp file, Temp::create(layout_.tmp_fd(), "blob", Temp::Kind::file));
  NX_CHECK(sys::write_all(file.fd(), document.text), "write " + what);
  NX_CHECK(publish(std::move(file), document.descriptor.digest), what);
  return {};
}

Result<> BlobWriter::publish(Temp file, const oci::Digest& digest) {
  NX_CHECK(sys::fsync_fd(file.fd(), "blob"));
  NX_CHECK(pending_.add(digest));
  NX_TRY(UniqueFd dir, layout_.blob_dir(digest.algorithm()));
  NX_CHECK(file.publish(dir.get(), std::string(digest.hex())));
  algorithms_.emplace(digest.algorithm());
  return {};
}

Result<> BlobWriter::sync() {
  for (const std::string& algorithm : algorithms_) {
    NX_TRY(UniqueFd dir, layout_.blob_dir(algorithm));
    NX_CHECK(sys::fsync_fd(dir.get(), "blobs/" + algorithm));
  }
  NX_TRY(UniqueFd blobs, sys::open_at(layout_.fd(), "blobs", O_RDONLY | O_DIRECTORY));
  return sys::fsync_fd(blobs.get(), "blobs");
}

}  // namespace nexcage::image::content
