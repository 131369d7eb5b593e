// nexcage storage explain: which storage a container would get, and why.
#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/cli/create_args.h"
#include "nexcage/cli/output.h"
#include "nexcage/cli/verb.h"
#include "nexcage/json/value.h"
#include "nexcage/runtime/storages.h"

namespace nexcage::cli {
namespace {

class StorageExplain : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS] IMAGE\n[OPTIONS] --bundle DIR ID", R"(
Prints where the root file system of a container would be, made with the same
options and words as for `create`, and what was looked at, in order. Nothing is
made or pulled.
)",
            R"(
  nexcage storage explain debian:12
  nexcage storage explain --storage zfs --storage-size 4g --name web nginx
  nexcage storage explain --bundle /srv/bundle c1
)"};
  }

  Order order() const override { return Order::options_first; }

  void declare(Options& options) override {
    args_.declare(options);
    options.text("--format", "FORMAT", format_, "table or json");
  }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_TRY(const ListFormat format, parse_list_format(format_));
    NX_TRY(const runtime::Request request, args_.request(context, std::move(words)));
    NX_TRY(const runtime::Services services, context.services());
    NX_TRY(const storage::Choice choice, runtime::explain_storage(request, services));
    print(format == ListFormat::json ? object(choice) : lines(choice));
    return 0;
  }

 private:
  static std::string lines(const storage::Choice& choice) {
    std::string text(storage::kind_name(choice.kind));
    if (!choice.location.empty()) text += " " + choice.location;
    if (choice.raw)
      text += ", " + std::string(storage::raw::file_system_name(choice.raw->file_system)) +
              " image of " + format_bytes(choice.raw->bytes);
    else if (choice.size)
      text += ", at most " + format_bytes(*choice.size);
    if (choice.kind != storage::Kind::bundle)
      text += ", LayerFS driver " + (choice.layerfs.empty() ? "as configured" : choice.layerfs);
    text += "\n";
    for (const std::string& step : choice.steps) text += "  " + step + "\n";
    return printable_lines(text);
  }

  /// printable() would escape the ends of lines as well.
  static std::string printable_lines(const std::string& text) {
    std::string out;
    for (const std::string& line : split(text, '\n'))
      if (!line.empty()) out += printable(line) + "\n";
    return out;
  }

  static std::string object(const storage::Choice& choice) {
    json::Value value = storage::to_json(choice);
    json::Array steps;
    for (const std::string& step : choice.steps) steps.emplace_back(step);
    value.if_object()->set("steps", std::move(steps));
    return json::dump(value, json::Style::pretty) + "\n";
  }

  CreateArgs args_;
  std::string format_ = "table";
};

}  // namespace

std::unique_ptr<Verb> make_storage_explain() { return std::make_unique<StorageExplain>(); }

}  // namespace nexcage::cli
