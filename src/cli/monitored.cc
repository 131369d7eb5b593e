#include "nexcage/cli/monitored.h"

#include <utility>

#include "nexcage/runtime/restart.h"
#include "nexcage/sys/process.h"

namespace nexcage::cli {
namespace {

Result<> start_again(Context& context, const std::string& id, runtime::Services& services) {
  NX_TRY(runtime::StoppedContainer stopped, runtime::StoppedContainer::hold(id, services));
  NX_TRY(runtime::MonitorJob job,
         monitor_job(context, stopped.request(), stopped.bundle(), stopped.terminal()));
  job.create_args = {"--again"};
  NX_CHECK(runtime::start_monitor(job, services.settings));
  return stopped.start(services);
}

}  // namespace

Result<runtime::MonitorJob> monitor_job(Context& context, const runtime::Request& request,
                                        const std::string& bundle, bool terminal) {
  runtime::MonitorJob job;
  job.id = request.id;
  job.bundle = bundle;
  job.pid_file = request.pid_file.empty() ? bundle + "/pid" : request.pid_file;
  NX_TRY(const std::string directory, sys::executable_dir());
  job.program = directory + "/nexcage";
  NX_TRY(job.program_args, context.repeat_globals());
  job.terminal = terminal;
  job.keep_stdin = request.keep_stdin;
  if (request.remove_ended) {
    job.exit_args = job.program_args;
    for (const char* word : {"delete", "--force", "--ended"}) job.exit_args.emplace_back(word);
    job.exit_args.push_back(request.id);
  }
  return job;
}

Result<> start_container(Context& context, const std::string& id, runtime::Services& services,
                         runtime::Ending ending) {
  if (!context.program().always_oci()) {
    NX_TRY(const backends::Record record, runtime::find(id, services));
    if (runtime::can_start_again(record, services.settings))
      return start_again(context, id, services);
  }
  return runtime::start(id, services, ending);
}

}  // namespace nexcage::cli
