// nexcage ps: the processes of one container, or the containers made from images.
#include "nexcage/base/text.h"
#include "nexcage/cli/output.h"
#include "nexcage/cli/processes.h"
#include "nexcage/cli/verb.h"
#include "nexcage/json/value.h"
#include "nexcage/runtime/monitor.h"

namespace nexcage::cli {
namespace {

constexpr std::string_view kImageAnnotation = "org.nexcage.image";
constexpr std::size_t kCommandWidth = 40;

class Ps : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS] ID\n[OPTIONS]", R"(
With an id: the container's processes, their pids as the host sees them (as JSON
an array of pids). Without: the containers that were made from images.
)",
            R"(
  nexcage ps
  nexcage ps web
  nexcage ps --format json web
)"};
  }

  void declare(Options& options) override {
    options.text("-f,--format", "FORMAT", format_, "table or json");
  }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 0, 1, "at most one container id"));
    NX_TRY(const ListFormat format, parse_list_format(format_));
    NX_TRY(runtime::Services services, context.services());
    if (words.empty()) return containers(format, services);
    NX_TRY(const std::vector<pid_t> pids, runtime::processes(words[0], services));
    print(format == ListFormat::json ? pid_array(pids) : process_table(pids));
    return 0;
  }

 private:
  static std::string pid_array(const std::vector<pid_t>& pids) {
    return json::dump(json::Array(pids.begin(), pids.end())) + "\n";
  }

  static std::string process_table(const std::vector<pid_t>& pids) {
    Table table({"UID", "PID", "PPID", "TTY", "TIME", "CMD"});
    for (const pid_t pid : pids)
      if (const auto row = read_process_row(pid))
        table.add({std::to_string(row->uid), std::to_string(row->pid), std::to_string(row->parent),
                   row->tty, row->time, row->command});
    return table.text();
  }

  struct Row {
    std::string id, image, command, created, status;
    int pid = 0;
    std::string backend;
  };

  /// A container that another command removes while we look is shown with what is known.
  static Row row_of(const backends::Record& record) {
    Row row{
        record.state.id, "", "", record.created, std::string(status_name(record.state.status)), 0,
        record.backend};
    if (const auto image = record.state.annotations.find(std::string(kImageAnnotation));
        image != record.state.annotations.end())
      row.image = image->second;
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
    Table table({"ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PID", "BACKEND"});
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
        array.emplace_back(std::move(object));
        continue;
      }
      if (row.command.size() > kCommandWidth) row.command.resize(kCommandWidth);
      table.add({row.id, row.image, row.command, row.created, row.status, std::to_string(row.pid),
                 row.backend});
    }
    print(format == ListFormat::json ? json::dump(array) + "\n" : table.text());
    return 0;
  }

  std::string format_ = "table";
};

}  // namespace

std::unique_ptr<Verb> make_ps() { return std::make_unique<Ps>(); }

}  // namespace nexcage::cli
