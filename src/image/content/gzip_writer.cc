#include "nexcage/image/content/gzip_writer.h"

#include <isa-l/igzip_lib.h>

#include <array>
#include <vector>

#include "nexcage/sys/fs.h"

namespace nexcage::image::content {

struct GzipWriter::State {
  isal_zstream stream{};
  std::vector<std::uint8_t> level = std::vector<std::uint8_t>(ISAL_DEF_LVL1_DEFAULT);
  std::vector<std::uint8_t> out = std::vector<std::uint8_t>(std::size_t{256} << 10);
};

GzipWriter::GzipWriter(int fd) : state_(std::make_unique<State>()), fd_(fd) {
  isal_deflate_init(&state_->stream);
  state_->stream.gzip_flag = IGZIP_GZIP;
  state_->stream.level = 1;
  state_->stream.level_buf = state_->level.data();
  state_->stream.level_buf_size = static_cast<std::uint32_t>(state_->level.size());
}

GzipWriter::~GzipWriter() = default;

Result<> GzipWriter::run(std::string_view bytes, bool last) {
  isal_zstream& stream = state_->stream;
  // ISA-L does not write through the pointer.
  stream.next_in = reinterpret_cast<std::uint8_t*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<std::uint32_t>(bytes.size());
  stream.end_of_stream = last ? 1 : 0;
  do {
    stream.next_out = state_->out.data();
    stream.avail_out = static_cast<std::uint32_t>(state_->out.size());
    if (isal_deflate(&stream) != COMP_OK) return fail(Errc::FileError, "compress with gzip");
    const std::size_t made = state_->out.size() - stream.avail_out;
    NX_CHECK(sys::write_all(
        fd_, std::string_view(reinterpret_cast<const char*>(state_->out.data()), made)));
    written_ += made;
  } while (stream.avail_out == 0);
  return {};
}

Result<> GzipWriter::put(std::string_view bytes) {
  constexpr std::size_t kMost = std::size_t{1} << 30;  // the stream counts in 32 bits
  for (; bytes.size() > kMost; bytes.remove_prefix(kMost))
    NX_CHECK(run(bytes.substr(0, kMost), false));
  return run(bytes, false);
}

Result<> GzipWriter::finish() { return run({}, true); }

}  // namespace nexcage::image::content
