// nexcage config show: the configuration in effect and where each value comes from.
#include "nexcage/base/log.h"
#include "nexcage/cli/output.h"
#include "nexcage/cli/verb.h"
#include "nexcage/json/value.h"

namespace nexcage::cli {
namespace {

class ConfigShow : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS]", R"(
Prints the configuration that files, environment and options make together, as a
config.toml. Options before the command beat the environment, the environment
beats the files.
)",
            R"(
  nexcage config show --origin
  nexcage --config ./test.toml config show
)"};
  }

  void declare(Options& options) override {
    options.flag("--origin", origin_, "say where each value comes from")
        .text("-f,--format", "FORMAT", format_, "toml or json");
  }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 0, 0, "no argument"));
    if (format_ != "toml" && format_ != "json")
      return fail(Errc::InvalidSpec, "--format: expected toml or json");
    NX_TRY(const Configuration* configuration, context.configuration());
    print(format_ == "json" ? as_json(*configuration) : as_toml(*configuration));
    return 0;
  }

 private:
  static std::string as_json(const Configuration& configuration) {
    json::Object object;
    for (const ConfigKey& key : config_keys()) {
      json::Object entry;
      entry.set("value", configuration.value(key));
      entry.set("origin", configuration.origin(key.name));
      entry.set("environment", key.environment);
      object.set(std::string(key.name), std::move(entry));
    }
    json::Array rules;
    for (const runtime::RouteRule& rule : configuration.settings().rules) {
      json::Object entry;
      if (rule.id) entry.set("id", rule.id->text());
      if (rule.image) entry.set("image", rule.image->text());
      entry.set("runtime", rule.backend);
      entry.set("origin", rule.origin);
      rules.emplace_back(std::move(entry));
    }
    object.set("runtime.rule", std::move(rules));
    return json::dump(object, json::Style::pretty) + "\n";
  }

  std::string rules_as_toml(const Configuration& configuration) const {
    std::string text;
    const auto line = [&text](const char* name, const std::string& value) {
      text += std::string(name) + " = \"" + log::json_escape(value) + "\"\n";
    };
    for (const runtime::RouteRule& rule : configuration.settings().rules) {
      text += "\n[[runtime.rule]]" + (origin_ ? "  # " + rule.origin : std::string()) + "\n";
      if (rule.id) line("id", rule.id->text());
      if (rule.image) line("image", rule.image->text());
      line("runtime", rule.backend);
    }
    return text;
  }

  std::string as_toml(const Configuration& configuration) const {
    std::string text;
    std::string_view table;
    for (const ConfigKey& key : config_keys()) {
      const std::size_t dot = key.name.find('.');
      if (key.name.substr(0, dot) != table) {
        table = key.name.substr(0, dot);
        text += (text.empty() ? "[" : "\n[") + std::string(table) + "]\n";
      }
      const std::string value = configuration.value(key);
      text += std::string(key.name.substr(dot + 1)) + " = ";
      // TOML's basic strings escape as JSON's do.
      const bool number = key.kind == ConfigKind::seconds || key.kind == ConfigKind::number;
      text += number ? value : '"' + log::json_escape(value) + '"';
      if (origin_) text += "  # " + configuration.origin(key.name);
      text += '\n';
    }
    return text + rules_as_toml(configuration);
  }

  bool origin_ = false;
  std::string format_ = "toml";
};

}  // namespace

std::unique_ptr<Verb> make_config_show() { return std::make_unique<ConfigShow>(); }

}  // namespace nexcage::cli
