// nexcage spec: a starter config.json.
#include "nexcage/oci/spec.h"

#include <fcntl.h>
#include <unistd.h>

#include "nexcage/cli/verb.h"
#include "nexcage/json/value.h"
#include "nexcage/sys/fs.h"

namespace nexcage::cli {
namespace {

constexpr mode_t kMode = 0666;  // less the caller's umask

class SpecVerb : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS]", R"(
Writes config.json for a bundle: a shell in rootfs/, to be edited. With --rootless
for a user without privileges: in a user namespace, without network and limits of
its own.
)",
            R"(
  mkdir -p bundle/rootfs && nexcage spec --bundle bundle
)"};
  }

  void declare(Options& options) override {
    options.text("-b,--bundle", "DIR", bundle_, "the bundle directory (default: this one)")
        .flag("--rootless", rootless_, "for a user without privileges");
  }

  Result<int> run(Context& /*context*/, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 0, 0, "no argument"));
    const std::string path = bundle_ + "/config.json";
    auto file = sys::open_at(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL, kMode);
    if (!file) return fail(std::move(file).error().hint("Remove an older config.json first."));
    const oci::Spec spec =
        rootless_ ? oci::default_rootless_spec(::geteuid(), ::getegid()) : oci::default_spec();
    const std::string text = json::dump(oci::to_json(spec), json::Style::pretty);
    NX_CHECK(sys::write_all(file->get(), text + "\n"), "write " + path);
    return 0;
  }

 private:
  std::string bundle_ = ".";
  bool rootless_ = false;
};

}  // namespace

std::unique_ptr<Verb> make_spec() { return std::make_unique<SpecVerb>(); }

}  // namespace nexcage::cli
