// nexcage exec: a further process in a container.
#include <fcntl.h>

#include <algorithm>
#include <utility>

#include "nexcage/cli/exec_args.h"
#include "nexcage/cli/exit_code.h"
#include "nexcage/cli/foreground.h"
#include "nexcage/cli/verb.h"
#include "nexcage/json/value.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/process.h"

namespace nexcage::cli {
namespace {

constexpr mode_t kPidFileMode = 0644;

class Exec : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS] ID COMMAND [ARGUMENT...]\n[OPTIONS] --process FILE ID", R"(
Runs a process in a running container and exits with its code. User, working
directory and environment are the container's unless options say otherwise.
Failures of nexcage itself are 125, 126 and 127 as for "run"; 255 when called by a
name that fixes the backend, as runc does.
)",
            R"(
  nexcage exec web ps
  nexcage exec -t -u nobody -e A=1 --cwd /tmp web sh
  nexcage exec --detach --process process.json --pid-file /run/p.pid c1
)"};
  }

  Order order() const override { return Order::options_first; }

  void declare(Options& options) override { args_.declare(options); }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(args_.check(words));
    NX_TRY(runtime::Services services, context.services());
    const std::string id = words[0];
    NX_TRY(const backends::Record record, runtime::find(id, services));
    backends::ExecRequest request;
    NX_TRY(request.process, process(record, {words.begin() + 1, words.end()}, services));
    NX_CHECK(args_.check_terminal(request.process.terminal));
    args_.fill(request);
    NX_TRY(request.process_file, absolute_path(args_.process_file));
    NX_TRY(request.pid_file, absolute_path(args_.pid_file));
    NX_TRY(const bool done, runtime::become_exec(record, request, services));
    if (done) return 0;
    // Held back before the process exists: a signal that arrives now is for it.
    NX_TRY(const SignalGate gate, SignalGate::close());
    NX_TRY(backends::ExecStarted started, runtime::exec(id, request, services));
    if (!args_.pid_file.empty())
      NX_CHECK(sys::write_file_atomic(args_.pid_file, std::to_string(started.child.pid()),
                                      kPidFileMode, sys::Durable::no));
    if (args_.detach) {
      (void)started.child.release();  // our parent's subreaper collects it
      return 0;
    }
    return attend_process(gate, std::move(started));
  }

  int failure_code(const Error& error, const Context& context, int /*usual*/) const override {
    if (context.program().always_oci()) return kExecFailure;
    return start_failure_code(error, kImageFailure);
  }

 private:
  Result<oci::Process> process(const backends::Record& record, std::vector<std::string> command,
                               const runtime::Services& services) const {
    if (!args_.process_file.empty()) {
      NX_TRY(const std::string text, sys::read_file(AT_FDCWD, args_.process_file));
      NX_TRY(const json::Value document, json::parse(text), "read " + args_.process_file);
      return oci::parse_process(document);
    }
    NX_TRY(const oci::Spec spec, runtime::load_spec(record));
    oci::Process base = spec.process.value_or(oci::Process{});
    if (!args_.user.empty()) {
      NX_TRY(const auto backend, services.open_backend(record.backend));
      NX_TRY(const std::string root, backend->accounts(record));
      NX_TRY(base.user, runtime::resolve_user(root, args_.user), "--user");
    }
    NX_TRY(oci::Process made, args_.apply(std::move(base), std::move(command)));
    // The same rules as for config.json: what it refuses, the command line may not say either.
    return oci::parse_process(oci::to_json(made));
  }

  static Result<int> attend_process(const SignalGate& gate, backends::ExecStarted started) {
    if (started.pty_master) copy_window_size(started.pty_master.get());
    auto status = attend(gate, {.pid = started.child.pid(),
                                .pidfd = started.child.pidfd(),
                                .pty_master = started.pty_master.get(),
                                .input = Input::relayed});
    if (!status) return fail(std::move(status).error());
    (void)started.child.release();  // attend() has reaped it
    return sys::exit_code(*status);
  }

  ExecArgs args_;
};

}  // namespace

std::unique_ptr<Verb> make_exec() { return std::make_unique<Exec>(); }

}  // namespace nexcage::cli
