// nexcage layer verify: prepared layers are read again.
#include "nexcage/base/text.h"
#include "nexcage/cli/layers.h"
#include "nexcage/cli/output.h"
#include "nexcage/cli/verb.h"
#include "nexcage/json/value.h"
#include "nexcage/runtime/layers.h"

namespace nexcage::cli {
namespace {

using runtime::LayerCheck;

std::string_view state_name(LayerCheck::State state) {
  switch (state) {
    case LayerCheck::State::ok:
      return "ok";
    case LayerCheck::State::damaged:
      return "damaged";
    case LayerCheck::State::unverifiable:
      return "unverifiable";
    case LayerCheck::State::removed:
      return "removed";
  }
  return "";
}

std::string table_text(const std::vector<LayerCheck>& checks) {
  Table table({"KEY", "DRIVER", "KIND", "SIZE", "RESULT"});
  for (const LayerCheck& check : checks)
    table.add({short_key(check.key), check.driver, std::string(kind_name(check.kind)),
               format_bytes(check.bytes),
               std::string(state_name(check.state)) +
                   (check.error ? ": " + check.error->message() : "")});
  return table.text();
}

std::string json_text(const std::vector<LayerCheck>& checks) {
  json::Array array;
  for (const LayerCheck& check : checks) {
    json::Object object;
    object.set("key", check.key);
    object.set("driver", check.driver);
    object.set("kind", kind_name(check.kind));
    object.set("bytes", check.bytes);
    object.set("state", state_name(check.state));
    if (check.error) object.set("error", check.error->message());
    array.emplace_back(std::move(object));
  }
  return json::dump(array, json::Style::pretty) + "\n";
}

class LayerVerify : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS] [KEY|IMAGE...]", R"(
Reads what is prepared of images, all or that of some, and compares it with the
digests it had when it was made. Exits with 125 when something is damaged. With
--repair what is damaged and not in use is removed; it is made again from the
image's verified blobs when it is needed.
)",
            R"(
  nexcage layer verify
  nexcage layer verify debian:12
  nexcage layer verify --repair t-0123456789ab
)"};
  }

  void declare(Options& options) override {
    options.flag("--repair", repair_, "remove what is damaged, to be made again")
        .text("-f,--format", "FORMAT", format_, "table or json");
  }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_TRY(const ListFormat format, parse_list_format(format_));
    NX_TRY(runtime::Services services, context.services());
    NX_TRY(const auto checks,
           runtime::verify_layers(
               words, repair_ ? runtime::Damaged::remove : runtime::Damaged::keep, services));
    print(format == ListFormat::json ? json_text(checks) : table_text(checks));
    std::optional<Error> first;
    for (const LayerCheck& check : checks) {
      if (check.state != LayerCheck::State::damaged) continue;
      Error error = Error(*check.error).wrap("prepared layer " + check.driver + "/" + check.key);
      if (first)
        first = Error(*std::move(first)).also(std::move(error));
      else
        first = std::move(error);
    }
    if (!first) return 0;
    if (repair_) return fail(*std::move(first));
    return fail(Error(*std::move(first))
                    .hint("nexcage layer verify --repair removes it, to be made again from the "
                          "image's blobs; nexcage system check looks at these"));
  }

 private:
  std::string format_ = "table";
  bool repair_ = false;
};

}  // namespace

std::unique_ptr<Verb> make_layer_verify() { return std::make_unique<LayerVerify>(); }

}  // namespace nexcage::cli
