// nexcage update: limits of a running container are changed, or its root file system is replaced.
#include <algorithm>

#include "nexcage/base/text.h"
#include "nexcage/cli/update_args.h"
#include "nexcage/cli/updating.h"
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

With --image a container that was made from an image gets another one: its root file
system is replaced, its name, network, mounts, limits and what was asked for when it
was made stay; command, environment, user and so on are the new image's where nothing
was asked for. One that runs is stopped and started again. What the container wrote
into directories that its image declares as volumes goes along; everything else that
it wrote belongs to the old root, which is kept: --rollback brings it back, as it was
then. After a failure at any step the container is what it was. The same holds for a
guest of a Proxmox VE cluster, which keeps its VMID, and of its data what lies in its
mount points.
)",
            R"(
  nexcage update --memory 256m --memory-swap 512m web
  nexcage update --image nginx:1.27 web
  nexcage update --image nginx:1.28 --generations 3 web
  nexcage update --rollback web
  nexcage update --cpu-quota 50000 --cpu-period 100000 --pids-limit 100 web
  echo '{"memory": {"limit": 268435456}}' | nexcage update --resources - web
)"};
  }

  void declare(Options& options) override {
    args_.declare(options);
    options.text("--image", "REF", image_, "give the container the root of this image")
        .flag("--rollback", rollback_, "give it the root back that it had before --image")
        .text("--generations", "N", generations_, "with --image: earlier roots that are kept");
  }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 1, 1, "one container id"));
    if (rollback_ && image_)
      return fail(Errc::InvalidSpec, "--rollback and --image cannot be combined");
    if ((rollback_ || image_) && args_.given())
      return fail(Error(Errc::InvalidSpec,
                        "--image and --rollback cannot be combined with limits or --resources")
                      .hint("change the limits with a second `nexcage update`"));
    if (generations_ && !image_) return fail(Errc::InvalidSpec, "--generations goes with --image");
    NX_TRY(runtime::Services services, open(context));
    if (rollback_ || image_) {
      NX_CHECK(runtime::is_guest(words[0], services.settings)
                   ? update_guest(words[0], services)
                   : update_root(context, words[0], image_, services));
      return 0;
    }
    NX_TRY(const oci::Resources resources, args_.resources());
    NX_CHECK(runtime::update(words[0], resources, services));
    return 0;
  }

 private:
  Result<runtime::Services> open(Context& context) const {
    NX_TRY(runtime::Settings settings, context.settings());
    if (generations_) {
      const auto count = parse_u64(*generations_);
      if (!count || *count > std::uint64_t{kMostGenerations})
        return fail(Errc::InvalidSpec,
                    "--generations " + quote(*generations_) + ": expected a number from 0 to 100");
      settings.generations = settings.proxmox.generations = static_cast<int>(*count);
    }
    if (std::max(settings.generations, settings.proxmox.generations) > kMostGenerations)
      return fail(Errc::ConfigError, "runtime.generations, proxmox.generations: at most " +
                                         std::to_string(kMostGenerations));
    return runtime::Services::open(settings);
  }

  Result<> update_guest(const std::string& id, runtime::Services& services) const {
    return rollback_ ? runtime::roll_back(id, services)
                     : runtime::update_image(id, *image_, services);
  }

  static constexpr int kMostGenerations = 100;
  UpdateArgs args_;
  std::optional<std::string> image_, generations_;
  bool rollback_ = false;
};

}  // namespace

std::unique_ptr<Verb> make_update() { return std::make_unique<Update>(); }

}  // namespace nexcage::cli
