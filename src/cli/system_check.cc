// nexcage system check: is everything in the store what it should be?
#include "nexcage/base/text.h"
#include "nexcage/cli/garbage_text.h"
#include "nexcage/cli/output.h"
#include "nexcage/cli/registry_args.h"
#include "nexcage/cli/verb.h"
#include "nexcage/runtime/check.h"

namespace nexcage::cli {
namespace {

class SystemCheck : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS]", R"(
Reads every blob of every image and compares it with its digest, every layer
with its diff ID, and looks for blobs, prepared layers and files of interrupted
pulls that belong to nothing. With --repair what is damaged is fetched again,
and only that, from the registry it came from, and what belongs to nothing is
removed. Exits with 125 when something is damaged and stays so.
)",
            R"(
  nexcage system check
  nexcage system check --repair
)"};
  }

  void declare(Options& options) override {
    options.flag("--repair", repair_, "fetch damaged blobs again, remove what belongs to nothing");
    registry_.declare(options);
    progress_.declare(options);
  }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 0, 0, "no argument"));
    NX_TRY(auto output, progress_.open());
    NX_TRY(const registry::Choices choices, registry_.choices());
    NX_TRY(runtime::Services services, context.services());
    NX_TRY(const runtime::CheckReport report,
           runtime::check_images(repair_ ? runtime::Repair::yes : runtime::Repair::no, choices,
                                 watch(*output), services));
    print(text_of(report));
    print_garbage(repair_ ? runtime::Remove::yes : runtime::Remove::no, services);
    if (report.left.empty()) return 0;
    return fail(failure(report));
  }

 private:
  static std::string text_of(const runtime::CheckReport& report) {
    const image::StoreCheck& seen = report.before;
    std::string text = "checked " + std::to_string(seen.images) + " images, " +
                       std::to_string(seen.blobs) + " blobs, " + format_bytes(seen.bytes) + "\n";
    for (const image::Damage& damage : seen.damages)
      text += "damaged: " + damage.what + " " + damage.blob.str() + " of " + damage.entry.str() +
              ": " + printable(damage.error.message()) + "\n";
    if (seen.damages.size() > report.left.size())
      text += "repaired: " + std::to_string(seen.damages.size() - report.left.size()) + "\n";
    for (const Error& why : report.repairs_failed)
      text += "not repaired: " + printable(why.message()) + "\n";
    return text;
  }

  /// The store changes while others work: that nobody can look now is no damage.
  static void print_garbage(runtime::Remove remove, runtime::Services& services) {
    auto garbage = runtime::collect_garbage(remove, services);
    print(garbage ? garbage_text(*garbage, remove)
                  : "not looked for what belongs to nothing: " +
                        printable(garbage.error().message()) + "\n");
  }

  Error failure(const runtime::CheckReport& report) const {
    Error error(Errc::InvalidImage,
                "the image store: " + std::to_string(report.left.size()) + " damaged");
    return repair_ ? error : Error(std::move(error).hint("nexcage system check --repair"));
  }

  bool repair_ = false;
  RegistryArgs registry_;
  ProgressArgs progress_;
};

}  // namespace

std::unique_ptr<Verb> make_system_check() { return std::make_unique<SystemCheck>(); }

}  // namespace nexcage::cli
