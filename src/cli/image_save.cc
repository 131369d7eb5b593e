// nexcage image save: images of the store as one archive, to a file or to standard output.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "nexcage/base/text.h"
#include "nexcage/cli/images.h"
#include "nexcage/cli/output.h"
#include "nexcage/cli/verb.h"
#include "nexcage/image/archive.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/fs_resolve.h"

namespace nexcage::cli {
namespace {

constexpr mode_t kArchiveMode = 0666;  // less the umask, as other tools make archives

/// A file that is there whole or not at all. Something that is no plain file (a pipe, a device) is
/// written to as it is.
class OutputFile {
 public:
  static Result<OutputFile> create(const std::string& path) {
    struct stat found{};
    if (::stat(path.c_str(), &found) == 0 && !S_ISREG(found.st_mode)) {
      NX_TRY(UniqueFd fd, sys::open_at(AT_FDCWD, path, O_WRONLY | O_NOCTTY));
      return OutputFile(path, "", std::move(fd));
    }
    NX_TRY(const std::string suffix, sys::random_hex(8));
    std::string temporary = path + "." + suffix + ".part";
    NX_TRY(UniqueFd fd,
           sys::open_at(AT_FDCWD, temporary, O_WRONLY | O_CREAT | O_EXCL, kArchiveMode));
    return OutputFile(path, std::move(temporary), std::move(fd));
  }
  OutputFile(OutputFile&& other) noexcept
      : path_(std::move(other.path_)),
        temporary_(std::exchange(other.temporary_, {})),
        fd_(std::move(other.fd_)) {}
  OutputFile& operator=(OutputFile&&) = delete;
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile() {
    if (!temporary_.empty()) (void)::unlink(temporary_.c_str());
  }
  int fd() const { return fd_.get(); }
  Result<> finish() {
    if (temporary_.empty()) return {};
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) return fail_errno("create " + path_);
    temporary_.clear();
    return {};
  }

 private:
  OutputFile(std::string path, std::string temporary, UniqueFd fd)
      : path_(std::move(path)), temporary_(std::move(temporary)), fd_(std::move(fd)) {}
  std::string path_, temporary_;
  UniqueFd fd_;
};

class ImageSave : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS] IMAGE...", R"(
Writes images as one archive, to a file or to standard output. docker-archive
has every layer as a plain tar and is read by docker load and podman load;
oci-archive is an OCI image layout as a tar, with layers and digests as they are
in the store. Every byte is verified on its way. An image given by name keeps
that name in the archive.
)",
            R"(
  nexcage image save -o busybox.tar busybox
  nexcage image save --format oci-archive -o both.tar debian:12 busybox
  nexcage image save busybox | ssh host nexcage image load
)"};
  }

  void declare(Options& options) override {
    options.text("-o,--output", "FILE", output_, "write to this file instead of standard output")
        .text("--format", "FORMAT", format_, "docker-archive (default) or oci-archive");
  }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 1, words.size() + 1, "an image"));
    NX_TRY(const image::ArchiveFormat format, image::parse_archive_format(format_), "--format");
    NX_TRY(const runtime::Settings settings, context.settings());
    NX_TRY(const image::Store store, open_images(context));
    if (output_.empty() || output_ == "-") {
      if (::isatty(STDOUT_FILENO) != 0)
        return fail(Error(Errc::InvalidSpec, "an archive is nothing for a terminal")
                        .hint("give --output FILE, or lead standard output somewhere else"));
      NX_CHECK(image::save_images(words, format, STDOUT_FILENO, store, settings.libexec));
      return 0;
    }
    NX_TRY(OutputFile file, OutputFile::create(output_));
    NX_CHECK(image::save_images(words, format, file.fd(), store, settings.libexec));
    NX_CHECK(file.finish());
    return 0;
  }

 private:
  std::string output_;
  std::string format_ = "docker-archive";
};

}  // namespace

std::unique_ptr<Verb> make_image_save() { return std::make_unique<ImageSave>(); }

}  // namespace nexcage::cli
