// nexcage ps: the processes of one container, or the containers made from images.
#include <chrono>
#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/cli/output.h"
#include "nexcage/cli/processes.h"
#include "nexcage/cli/state_json.h"
#include "nexcage/cli/verb.h"
#include "nexcage/json/value.h"
#include "nexcage/runtime/monitor.h"
#include "nexcage/sys/process.h"

namespace nexcage::cli {
namespace {

constexpr std::string_view kImageAnnotation = "org.nexcage.image";
constexpr std::string_view kPortsAnnotation = "org.nexcage.network.ports";
constexpr std::size_t kCommandWidth = 40;

class Ps : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS] ID [PS OPTION...]\n[OPTIONS]", R"(
With an id: the container's processes, their pids as the host sees them (as JSON
an array of pids); options for ps(1) behind the id choose its columns. Without:
the containers that were made from images.
)",
            R"(
  nexcage ps
  nexcage ps web
  nexcage ps --format json web
  nexcage ps web -o pid,rss,comm
)"};
  }

  Order order() const override { return Order::options_first; }

  void declare(Options& options) override {
    options.text("-f,--format", "FORMAT", format_, "table or json");
  }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_TRY(const ListFormat format, parse_list_format(format_));
    NX_TRY(runtime::Services services, context.services());
    if (words.empty()) return containers(format, services);
    NX_TRY(const std::vector<pid_t> pids, runtime::processes(words[0], services));
    const std::vector<std::string> options(words.begin() + 1, words.end());
    if (format == ListFormat::json && !options.empty())
      return fail(Errc::InvalidSpec, "options of ps(1) and --format json exclude each other");
    if (!options.empty()) return run_ps(options, pids);
    print(format == ListFormat::json ? pid_array(pids) : process_table(pids));
    return 0;
  }

 private:
  static std::string pid_array(const std::vector<pid_t>& pids) {
    return json::dump(json::Array(pids.begin(), pids.end())) + "\n";
  }

  static std::string process_table(const std::vector<pid_t>& pids) {
    const ProcessClock clock = read_process_clock();
    Table table({"UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"});
    for (const pid_t pid : pids)
      if (const auto row = read_process_row(pid, clock))
        table.add({user_name(row->uid).value_or(std::to_string(row->uid)), std::to_string(row->pid),
                   std::to_string(row->parent), std::to_string(row->percent), row->started,
                   row->tty, row->time, row->command});
    return table.text();
  }

  /// The host's ps(1) decides what its options mean.
  static Result<int> run_ps(const std::vector<std::string>& options,
                            const std::vector<pid_t>& pids) {
    constexpr std::chrono::seconds kPatience(30);
    constexpr std::size_t kMostOutput = 64U << 20;
    sys::Command command;
    command.argv = {"ps"};
    command.argv.insert(command.argv.end(), options.begin(), options.end());
    command.inherit_env = true;
    auto output = sys::run(command, "", kPatience, kMostOutput);
    if (!output && output.error().code() == Errc::RuntimeNotAvailable)
      return fail(std::move(output).error().hint("Install the package procps."));
    if (!output) return fail(std::move(output).error());
    if (const int code = sys::exit_code(output->status); code != 0)
      return fail(Errc::InvalidSpec, "ps " + join(options, " ") + " ended with " +
                                         std::to_string(code) + ": " +
                                         std::string(trim(output->err)));
    NX_TRY(const std::string text, filter_ps(output->out, pids));
    print(text);
    return 0;
  }

  struct Row {
    std::string id, image, command, created, status;
    int pid = 0;
    std::string backend, ports;
  };

  static std::string annotation(const backends::Record& record, std::string_view name) {
    const auto found = record.state.annotations.find(std::string(name));
    return found != record.state.annotations.end() ? found->second : std::string();
  }

  /// A container that another command removes while we look is shown with what is known.
  static Row row_of(const backends::Record& record) {
    Row row{record.state.id,
            "",
            "",
            record.created,
            std::string(status_name(record.state.status)),
            0,
            record.backend,
            annotation(record, kPortsAnnotation)};
    row.image = annotation(record, kImageAnnotation);
    if (const auto spec = runtime::load_spec(record); spec && spec->process)
      row.command = join(spec->process->args, " ");
    if (record.state.status != oci::Status::stopped) {
      row.pid = record.state.pid;
      return row;
    }
    const auto exit = runtime::ExitRecord::open(record.state.bundle, record.state.id);
    if (!exit || !*exit) return row;
    if (const auto code = (*exit)->read(); code && *code)
      row.status += " (" + std::to_string(**code) + ")";
    return row;
  }

  static Result<int> containers(ListFormat format, const runtime::Services& services) {
    NX_TRY(const std::vector<backends::Record> records, runtime::list(services));
    Table table({"ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PID", "BACKEND", "PORTS"});
    json::Array array;
    for (const backends::Record& record : records) {
      if (!runtime::is_image_form(record, services.settings)) continue;
      Row row = row_of(record);
      if (format == ListFormat::json) {
        json::Object object;
        object.set("id", row.id);
        object.set("image", row.image);
        object.set("command", row.command);
        object.set("created", row.created);
        object.set("status", row.status);
        object.set("pid", row.pid);
        object.set("backend", row.backend);
        object.set("ports", row.ports);
        array.emplace_back(std::move(object));
        continue;
      }
      if (row.command.size() > kCommandWidth) row.command.resize(kCommandWidth);
      table.add({row.id, row.image, row.command, row.created, row.status, std::to_string(row.pid),
                 row.backend, row.ports});
    }
    print(format == ListFormat::json ? json::dump(array) + "\n" : table.text());
    return 0;
  }

  std::string format_ = "table";
};

}  // namespace

std::unique_ptr<Verb> make_ps() { return std::make_unique<Ps>(); }

}  // namespace nexcage::cli
