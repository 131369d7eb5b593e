// nexcage restore: a container from the files of `checkpoint`.
#include "nexcage/base/log.h"
#include "nexcage/cli/criu_args.h"
#include "nexcage/cli/foreground.h"
#include "nexcage/cli/verb.h"
#include "nexcage/sys/process.h"

namespace nexcage::cli {
namespace {

class Restore : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS] --bundle DIR ID", R"(
Makes a container anew from a checkpoint, with CRIU; it runs at once. Without
--detach nexcage stays until it ends, exits with its code and deletes it.
For the backend runc, and crun built with CRIU.
)",
            "  nexcage restore --image-path /var/tmp/c1 --bundle /srv/bundle --detach c1\n"};
  }

  void declare(Options& options) override {
    options.text("-b,--bundle", "DIR", bundle_, "the bundle directory (default: this one)")
        .text("--pid-file", "FILE", pid_file_, "write the pid of the container's init to this file")
        .text("--console-socket", "PATH", console_socket_,
              "send the terminal's master to this unix socket")
        .text("--runtime", "NAME", backend_, "backend of the container: runc, crun")
        .flag("-d,--detach", detach_, "leave the container running in the background")
        .flag("--no-pivot", no_pivot_, "do not use pivot_root (root file system on a ramdisk)")
        .flag("--no-subreaper", no_subreaper_, "accepted for runc's sake with --detach");
    args_.declare_restore(options);
  }

  Result<> available(Context& context) const override { return CriuArgs::check_backend(context); }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 1, 1, "one container id"));
    if (no_subreaper_ && !detach_)
      return fail(Errc::Unsupported,
                  "--no-subreaper in the foreground: the exit code would be lost");
    NX_TRY(const runtime::Request request, this->request(context, words[0]));
    NX_TRY(runtime::Services services, context.services());
    if (!detach_) NX_CHECK(sys::become_subreaper());
    // Held back before the process exists: a signal that arrives now is for it.
    NX_TRY(const SignalGate gate, SignalGate::close());
    NX_TRY(const runtime::Container container, runtime::create(request, services));
    return detach_ ? 0 : attend_and_remove(gate, container, services);
  }

 private:
  Result<runtime::Request> request(const Context& context, const std::string& id) const {
    runtime::Request request;
    request.id = id;
    runtime::BundleSource source;
    NX_TRY(source.bundle, absolute_path(bundle_));
    request.source = std::move(source);
    NX_TRY(request.backend, context.backend(backend_));
    request.cgroup_manager = context.cgroup_manager();
    NX_TRY(request.pid_file, absolute_path(pid_file_));
    if (console_socket_) {
      NX_TRY(request.console_socket, absolute_path(*console_socket_));
    }
    request.keep_master = !detach_ && !console_socket_;
    if (no_pivot_) request.pivot = backends::Pivot::move_mount;
    NX_TRY(request.restore, args_.words());
    return request;
  }

  static Result<int> attend_and_remove(const SignalGate& gate, const runtime::Container& container,
                                       runtime::Services& services) {
    NX_TRY(const std::optional<UniqueFd> pidfd, sys::open_process(container.record.init));
    auto status = attend(gate, {.pid = container.record.init.pid,
                                .pidfd = pidfd ? pidfd->get() : -1,
                                .pty_master = container.pty_master.get(),
                                .input = container.pty_master ? Input::relayed : Input::none});
    auto removed = runtime::remove(container.record.state.id, true, services);
    if (!status) return fail(std::move(status).error());
    // The container's own code counts for the caller; what could not be removed is told.
    if (!removed) log::error(std::move(removed).error());
    return sys::exit_code(*status);
  }

  CriuArgs args_;
  std::string bundle_ = ".", pid_file_, backend_;
  std::optional<std::string> console_socket_;
  bool detach_ = false, no_pivot_ = false, no_subreaper_ = false;
};

}  // namespace

std::unique_ptr<Verb> make_restore() { return std::make_unique<Restore>(); }

}  // namespace nexcage::cli
