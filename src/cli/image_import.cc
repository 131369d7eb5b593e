// nexcage image import: an image from a layout, an archive or a bare root file system.
#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/cli/create_args.h"
#include "nexcage/cli/images.h"
#include "nexcage/cli/output.h"
#include "nexcage/cli/verb.h"
#include "nexcage/image/import.h"

namespace nexcage::cli {
namespace {

/// Each occurrence is a word or a JSON array of words.
Result<std::vector<std::string>> join_words(const std::vector<std::string>& values,
                                            std::string_view option) {
  std::vector<std::string> all;
  for (const std::string& value : values) {
    NX_TRY(const std::vector<std::string> words, parse_entrypoint(value), std::string(option));
    all.insert(all.end(), words.begin(), words.end());
  }
  return all;
}

class ImageImport : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS] SOURCE", R"(
Brings an image into the store; every byte is checked against its digest. SOURCE
is oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:REFERENCE] or
rootfs:FILE, a tar (plain, gzip or zstd) of a root file system, for which the
options say what the image's process is.
)",
            R"(
  nexcage image import oci-archive:busybox.tar --name busybox
  nexcage image import docker-archive:saved.tar
  nexcage image import rootfs:debian.tar.zst --name debian:12 --cmd bash --env LANG=C
)"};
  }

  void declare(Options& options) override {
    options.text("-n,--name", "REFERENCE", name_, "name of the image (default: the source's)")
        .list("--entrypoint", "WORD", entrypoint_,
              "rootfs: entrypoint; repeatable, or a JSON array")
        .list("--cmd", "WORD", cmd_, "rootfs: default command; repeatable, or a JSON array")
        .list("-e,--env", "NAME=VALUE", env_, "rootfs: a variable of the environment")
        .text("-u,--user", "USER[:GROUP]", user_, "rootfs: user of the process")
        .text("-w,--workdir", "DIR", workdir_, "rootfs: working directory of the process");
  }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 1, 1, "one source"));
    NX_TRY(const image::ImportRequest request, this->request(words[0]));
    NX_TRY(const runtime::Settings settings, context.settings());
    NX_TRY(image::Store store, open_images(context));
    NX_TRY(const image::Image imported, image::import_image(request, settings.libexec, store));
    for (const oci::Reference& name : imported.names) print(name.str() + "\n");
    return 0;
  }

 private:
  Result<image::ImportRequest> request(const std::string& source) const {
    image::ImportRequest request;
    NX_TRY(request.source, image::parse_source(source));
    NX_TRY(request.source.path, absolute_path(request.source.path));
    const bool describes = !entrypoint_.empty() || !cmd_.empty() || !env_.empty() ||
                           !user_.empty() || !workdir_.empty();
    if (describes && request.source.kind != image::SourceKind::rootfs)
      return fail(Errc::InvalidSpec,
                  "--entrypoint, --cmd, --env, --user and --workdir are for rootfs: sources; " +
                      quote(source) + " says them itself");
    if (!name_.empty()) {
      NX_TRY(request.name, oci::Reference::parse(name_), "--name");
    }
    NX_TRY(request.rootfs.entrypoint, join_words(entrypoint_, "--entrypoint"));
    NX_TRY(request.rootfs.cmd, join_words(cmd_, "--cmd"));
    request.rootfs.env = env_;
    request.rootfs.user = user_;
    request.rootfs.working_dir = workdir_;
    return request;
  }

  std::string name_, user_, workdir_;
  std::vector<std::string> entrypoint_, cmd_, env_;
};

}  // namespace

std::unique_ptr<Verb> make_image_import() { return std::make_unique<ImageImport>(); }

}  // namespace nexcage::cli
