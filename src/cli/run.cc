// nexcage run: create and start; in the foreground as the container's parent, or detached.
#include <fcntl.h>
#include <unistd.h>

#include <utility>

#include "nexcage/base/log.h"
#include "nexcage/cli/create_args.h"
#include "nexcage/cli/exit_code.h"
#include "nexcage/cli/foreground.h"
#include "nexcage/cli/monitored.h"
#include "nexcage/cli/output.h"
#include "nexcage/cli/verb.h"
#include "nexcage/runtime/guests.h"
#include "nexcage/runtime/monitor.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/process.h"

namespace nexcage::cli {
namespace {

class Run : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS] IMAGE [COMMAND [ARGUMENT...]]\n[OPTIONS] --bundle DIR ID", R"(
Creates a container and starts it. In the foreground nexcage passes signals and
the window's size on and exits with the container's code: 128+N after signal N,
125 when nexcage failed, 126 when the command cannot be executed, 127 when it
does not exist. With --detach the id is printed and conmon keeps the log and the
exit code. Words after the image belong to the container's command.
)",
            R"(
  nexcage run --rm busybox echo hello
  nexcage run --rm -it -e LANG=C debian bash
  nexcage run -d --name web --memory 64m --cpus 0.5 busybox httpd -f
  nexcage run --bundle /srv/bundle c1
)"};
  }

  Order order() const override { return Order::options_first; }

  void declare(Options& options) override {
    options.flag("--rm", remove_, "remove the container when it has ended");
    args_.declare(options);
    options.flag("--keep", keep_, "OCI form: do not delete the container when it has ended")
        .flag("--no-subreaper", no_subreaper_, "OCI form: accepted for runc's sake with --detach");
  }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    oci_form_ = args_.oci_form(context);
    NX_CHECK(check());
    NX_TRY(runtime::Request request, args_.request(context, std::move(words)));
    request.remove_ended = remove_;
    NX_TRY(runtime::Services services, context.services());
    if (!oci_form_) NX_CHECK(args_.watch_pull(services));
    NX_TRY(const bool is_guest, runtime::makes_guest(request, services));
    if (is_guest) return run_guest(request, services);
    if (args_.detach && oci_form_) return run_detached(request, services);
    if (args_.detach) return run_monitored(context, std::move(request), services);
    return run_foreground(std::move(request), services);
  }

  int failure_code(const Error& error, const Context& context, int usual) const override {
    // Asked before run() too, for errors of the options.
    return args_.oci_form(context) ? usual : start_failure_code(error, kImageFailure);
  }

 private:
  Result<> check() const {
    if (!oci_form_ && (keep_ || no_subreaper_))
      return fail(Errc::InvalidSpec, "--keep and --no-subreaper need --bundle");
    if (oci_form_ && remove_)
      return fail(Errc::InvalidSpec, "--rm is for images; the OCI form deletes unless --keep");
    if (args_.detach && !oci_form_ && args_.console_socket)
      return fail(Errc::Unsupported, "--console-socket with --detach: conmon holds the terminal");
    if (no_subreaper_ && !args_.detach)
      return fail(Errc::Unsupported,
                  "--no-subreaper in the foreground: the exit code would be lost");
    return {};
  }

  /// runc run --detach: the caller takes care of the process.
  static Result<int> run_detached(const runtime::Request& request, runtime::Services& services) {
    NX_CHECK(runtime::create(request, services));
    NX_CHECK(start_or_remove(request.id, services));
    return 0;
  }

  /// A guest runs on its own, with or without --detach.
  static Result<int> run_guest(const runtime::Request& request, runtime::Services& services) {
    NX_CHECK(runtime::create_guest(request, services));
    NX_CHECK(start_or_remove(request.id, services));
    print(request.id + "\n");
    return 0;
  }

  Result<int> run_monitored(Context& context, runtime::Request request,
                            runtime::Services& services) {
    request.keep_master = true;  // by conmon, which gives the second command a console socket
    NX_TRY(runtime::PreparedBundle prepared, runtime::prepare_bundle(request, services));
    NX_TRY(runtime::MonitorJob job,
           monitor_job(context, request, prepared.bundle(), args_.terminal));
    job.create_args = {"--prepared"};
    NX_CHECK(runtime::start_monitor(job, services.settings));
    NX_CHECK(prepared.keep());
    NX_CHECK(start_or_remove(request.id, services));
    print(request.id + "\n");
    return 0;
  }

  Result<int> run_foreground(runtime::Request request, runtime::Services& services) {
    const bool relays = !request.console_socket.has_value();
    request.keep_master = relays;
    if (!oci_form_ && !args_.interactive && !args_.terminal) NX_CHECK(close_stdin());
    NX_CHECK(sys::become_subreaper());
    NX_TRY(runtime::Container container, runtime::create(request, services));
    auto status = start_and_attend(container, services);
    const bool kept = oci_form_ ? keep_ : !remove_;
    if (status && kept) return keep_record(container, services, sys::exit_code(*status));
    auto removed = runtime::remove(request.id, true, services);
    if (!status) {
      if (!removed) return fail(std::move(status).error().also(std::move(removed).error()));
      return fail(std::move(status).error());
    }
    // The container's own code counts for the caller; what could not be removed is told.
    if (!removed) log::error(std::move(removed).error().wrap("run " + request.id));
    return sys::exit_code(*status);
  }

  /// Without -i the container reads an empty standard input, as under Podman.
  static Result<> close_stdin() {
    NX_TRY(const UniqueFd null, sys::open_at(AT_FDCWD, "/dev/null", O_RDONLY));
    if (::dup2(null.get(), STDIN_FILENO) < 0) return fail_errno("connect /dev/null");
    return {};
  }

  Result<int> start_and_attend(const runtime::Container& container, runtime::Services& services) {
    NX_TRY(const std::optional<UniqueFd> pidfd, sys::open_process(container.record.init));
    NX_TRY(const SignalGate gate, SignalGate::close());
    Attended process{.pid = container.record.init.pid,
                     .pidfd = pidfd ? pidfd->get() : -1,
                     .pty_master = container.pty_master.get()};
    if (container.pty_master) {
      copy_window_size(process.pty_master);
      process.input = oci_form_ || args_.interactive ? Input::relayed : Input::none;
    }
    NX_CHECK(runtime::start(container.record.state.id, services));
    return attend(gate, process);
  }

  /// A foreground container that stays tells `ps` and `wait` its exit code as a detached one does.
  Result<int> keep_record(const runtime::Container& container, const runtime::Services& services,
                          int code) const {
    if (!runtime::is_image_form(container.record, services.settings)) return code;
    const backends::Record& record = container.record;
    // Another command may have deleted it by now, or started it again: then conmon keeps the code.
    const auto present = runtime::find(record.state.id, services);
    if (!present || present->init.start_time != record.init.start_time ||
        present->init.pid != record.init.pid)
      return code;
    NX_TRY(const runtime::ExitRecord exit,
           runtime::ExitRecord::create(record.state.bundle, record.state.id));
    NX_CHECK(exit.write(code));
    return code;
  }

  static Result<> start_or_remove(const std::string& id, runtime::Services& services) {
    auto started = runtime::start(id, services);
    if (started) return {};
    Error error = std::move(started).error();
    if (auto removed = runtime::remove(id, true, services); !removed)
      error = Error(std::move(error).also(std::move(removed).error()));
    return fail(std::move(error));
  }

  CreateArgs args_;
  bool remove_ = false;
  bool keep_ = false;
  bool no_subreaper_ = false;
  bool oci_form_ = false;
};

}  // namespace

std::unique_ptr<Verb> make_run() { return std::make_unique<Run>(); }

}  // namespace nexcage::cli
