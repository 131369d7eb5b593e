// nexcage vm setup: the kernel that virtual machines boot.
#include <cstdio>

#include "nexcage/cli/output.h"
#include "nexcage/cli/verb.h"
#include "nexcage/vm/boot/setup.h"

namespace nexcage::cli {
namespace {

class VmSetup : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS]", R"(
Prepares the kernel that containers in virtual machines boot: downloads the
distribution's kernel package, takes the kernel and the few modules that are
needed out of it, and makes it the default. Nothing is installed on the host.
Prints the directory it is in.
)",
            R"(
  nexcage vm setup
  nexcage vm setup --package ./linux-image-6.1.0-44-cloud-amd64_6.1.192-2_amd64.deb
)"};
  }

  void declare(Options& options) override {
    options
        .text("--package", "FILE|NAME", package_, "a kernel package, as a file (.deb) or by name")
        .text("--directory", "DIR", directory_, "where prepared kernels are kept");
  }

  Result<int> run(Context& /*context*/, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 0, 0, "no argument"));
    vm::boot::SetupOptions setup;
    setup.directory = directory_;
    if (package_.find('/') != std::string::npos || package_.ends_with(".deb")) {
      setup.package_file = package_;
    } else if (!package_.empty()) {
      setup.package_name = package_;
    }
    setup.progress = [](const std::string& step) { std::fprintf(stderr, "%s\n", step.c_str()); };
    NX_TRY(const vm::boot::Kernel kernel, vm::boot::setup(setup));
    print(setup.directory + "/" + kernel.release + "\n");
    return 0;
  }

 private:
  std::string package_;
  std::string directory_ = vm::boot::kKernels;
};

}  // namespace

std::unique_ptr<Verb> make_vm_setup() { return std::make_unique<VmSetup>(); }

}  // namespace nexcage::cli
