// nexcage update: limits of a running container are changed.
#include "nexcage/cli/update_args.h"
#include "nexcage/cli/verb.h"
#include "nexcage/runtime/guests.h"

namespace nexcage::cli {
namespace {

class Update : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS] ID", R"(
Changes limits of a container while it runs. What is not named stays as it is, and
so does what is named as 0. When one limit is refused, those changed before it get
their old values back. The file of --resources holds the "resources" object of
config.json; other options beside it are refused.

A guest of a Proxmox VE cluster gets another image with --image: its root file system
is replaced, its VMID, network, mount points and settings stay. --rollback brings the
root back that it had before.
)",
            R"(
  nexcage update --memory 256m --memory-swap 512m web
  nexcage update --image nginx:1.27 web
  nexcage update --rollback web
  nexcage update --cpu-quota 50000 --cpu-period 100000 --pids-limit 100 web
  echo '{"memory": {"limit": 268435456}}' | nexcage update --resources - web
)"};
  }

  void declare(Options& options) override {
    args_.declare(options);
    options.text("--image", "REF", image_, "give a guest this image")
        .flag("--rollback", rollback_, "give a guest the root back that it had before --image");
  }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 1, 1, "one container id"));
    if (rollback_ && image_)
      return fail(Errc::InvalidSpec, "--rollback and --image cannot be combined");
    if ((rollback_ || image_) && args_.given())
      return fail(Error(Errc::InvalidSpec,
                        "--image and --rollback cannot be combined with limits or --resources")
                      .hint("change the limits with a second `nexcage update`"));
    NX_TRY(runtime::Services services, context.services());
    if (rollback_ || image_) {
      NX_CHECK(rollback_ ? runtime::roll_back(words[0], services)
                         : runtime::update_image(words[0], *image_, services));
      return 0;
    }
    NX_TRY(const oci::Resources resources, args_.resources());
    NX_CHECK(runtime::update(words[0], resources, services));
    return 0;
  }

 private:
  UpdateArgs args_;
  std::optional<std::string> image_;
  bool rollback_ = false;
};

}  // namespace

std::unique_ptr<Verb> make_update() { return std::make_unique<Update>(); }

}  // namespace nexcage::cli
