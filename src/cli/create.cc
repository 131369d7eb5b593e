// nexcage create: phases 1 to 8 of the creation flow, up to the OCI state "created".
#include "nexcage/cli/create_args.h"
#include "nexcage/cli/exit_code.h"
#include "nexcage/cli/output.h"
#include "nexcage/cli/verb.h"
#include "nexcage/runtime/guests.h"

namespace nexcage::cli {
namespace {

class Create : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS] --bundle DIR ID\n[OPTIONS] IMAGE [COMMAND [ARGUMENT...]]", R"(
Creates a container; its process waits for "nexcage start". With --bundle the
container is made from an OCI bundle, else from an image of the store, and the
id is printed. Words after the image belong to the container's command.
)",
            R"(
  nexcage create --bundle /srv/bundle --pid-file /run/c1.pid c1
  nexcage create --name web -e PORT=80 -v /srv/www:/www:ro busybox httpd -f
  nexcage start web
)"};
  }

  Order order() const override { return Order::options_first; }

  void declare(Options& options) override {
    args_.declare(options);
    // The second half of `run -d`, called by the monitor.
    options.flag("--prepared", prepared_, "").hidden();
    // The same for a stopped container that is started.
    options.flag("--again", again_, "").hidden();
  }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    // A prepared container is called with --bundle, so its request is an OCI-form one.
    NX_TRY(const runtime::Request request, args_.request(context, std::move(words)));
    if (!args_.oci_form(context)) NX_CHECK(image_form_only());
    NX_TRY(runtime::Services services, context.services());
    if (!args_.oci_form(context)) NX_CHECK(args_.watch_pull(services));
    if (prepared_) {
      NX_CHECK(runtime::create_prepared(request, services));
      return 0;
    }
    if (again_) {
      NX_CHECK(runtime::create_again(request, services));
      return 0;
    }
    NX_TRY(const bool is_guest, runtime::makes_guest(request, services));
    if (is_guest)
      NX_CHECK(runtime::create_guest(request, services));
    else
      NX_CHECK(runtime::create(request, services));
    if (!args_.oci_form(context)) print(request.id + "\n");
    return 0;
  }

  int failure_code(const Error& /*error*/, const Context& context, int usual) const override {
    return args_.oci_form(context) ? usual : kImageFailure;
  }

 private:
  Result<> image_form_only() const {
    if (args_.interactive)
      return fail(Error(Errc::Unsupported, "--interactive: nobody is connected after create")
                      .hint("Use nexcage run -i."));
    if (args_.terminal && !args_.console_socket)
      return fail(Error(Errc::Unsupported, "--tty without --console-socket")
                      .hint("Use nexcage run -t, or give --console-socket."));
    return {};
  }

  CreateArgs args_;
  bool prepared_ = false;
  bool again_ = false;
};

}  // namespace

std::unique_ptr<Verb> make_create() { return std::make_unique<Create>(); }

}  // namespace nexcage::cli
