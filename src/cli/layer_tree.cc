// nexcage layer tree: which layer lies on which.
#include <algorithm>
#include <ranges>
#include <span>
#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/cli/layers.h"
#include "nexcage/cli/output.h"
#include "nexcage/cli/progress.h"
#include "nexcage/cli/verb.h"
#include "nexcage/json/value.h"
#include "nexcage/runtime/layers.h"

namespace nexcage::cli {
namespace {

using layerfs::Inventory;
using layerfs::LayerGraph;
using layerfs::LayerHandle;
using Node = LayerGraph::Node;

/// What is prepared of a layer: "erofs: tar t-0123..., 12 MiB".
std::string things_text(const Inventory& inventory, std::span<const LayerHandle> things) {
  std::vector<std::string> words;
  for (const LayerHandle thing : things) {
    const auto& record = inventory.things().at(thing);
    words.push_back(inventory.driver(thing) + " " + short_key(inventory.things().key(thing)) +
                    " (" + std::string(kind_name(record.kind)) + ", " + format_bytes(record.bytes) +
                    ")");
  }
  return words.empty() ? "not prepared" : join(words, ", ");
}

class TreeText {
 public:
  explicit TreeText(const Inventory& inventory) : inventory_(inventory) {}

  std::string text() {
    const auto& order = inventory_.order();
    for (const Node node : order.sorted)
      if (inventory_.graph().parent(node) == LayerGraph::kNone) add_root(node);
    section(order.orphans, "layers on something that is not known:");
    section(order.cyclic, "layers that by their records lie on themselves:");
    const auto loose = inventory_.unattached();
    if (!loose.empty()) begin_part("of no layer that is known:");
    for (const LayerHandle thing : loose)
      text_ += things_text(inventory_, std::span(&thing, 1)) + "\n";
    return std::move(text_);
  }

 private:
  struct Step {
    Node node;
    std::string first, rest;  // before its own line, before those below
  };

  void begin_part(std::string_view heading) {
    if (!text_.empty()) text_ += "\n";
    if (!heading.empty()) text_ += std::string(heading) + "\n";
  }

  void add_root(Node root) {
    begin_part("");
    std::vector<Step> steps = {{root, "", ""}};
    while (!steps.empty()) {
      const Step step = std::move(steps.back());
      steps.pop_back();
      add_line(step.first, step.node);
      const std::span<const Node> above = inventory_.graph().above(step.node);
      if (above.size() == 1) {
        steps.push_back({above.front(), step.rest, step.rest});
        continue;
      }
      for (std::size_t i = above.size(); i-- > 0;) {
        const bool is_last = i + 1 == above.size();
        steps.push_back({above[i], step.rest + (is_last ? "└─ " : "├─ "),
                         step.rest + (is_last ? "   " : "│  ")});
      }
    }
  }

  void section(const std::vector<Node>& nodes, std::string_view heading) {
    if (nodes.empty()) return;
    begin_part(heading);
    for (const Node node : nodes) add_line("", node);
  }

  void add_line(std::string_view prefix, Node node) {
    text_ += std::string(prefix) + short_digest(inventory_.text(inventory_.graph().id(node))) +
             "   " + things_text(inventory_, inventory_.things_at(node));
    const std::vector<std::string> images = inventory_.images_at(node);
    if (!images.empty()) text_ += "   <- " + printable(join(images, ", "));
    text_ += "\n";
  }

  const Inventory& inventory_;
  std::string text_;
};

std::string tree_json(const Inventory& inventory) {
  json::Array layers;
  const auto add = [&](Node node, std::string_view state) {
    json::Object object;
    object.set("chain_id", inventory.text(inventory.graph().id(node)));
    const Node below = inventory.graph().parent(node);
    if (below != LayerGraph::kNone)
      object.set("parent", inventory.text(inventory.graph().id(below)));
    json::Array images, things;
    for (const std::string& name : inventory.images_at(node)) images.emplace_back(name);
    for (const LayerHandle thing : inventory.things_at(node))
      things.emplace_back(inventory.driver(thing) + "/" + inventory.things().key(thing));
    object.set("images", std::move(images));
    object.set("prepared", std::move(things));
    object.set("state", state);
    layers.emplace_back(std::move(object));
  };
  for (const Node node : inventory.order().sorted) add(node, "whole");
  for (const Node node : inventory.order().orphans) add(node, "orphan");
  for (const Node node : inventory.order().cyclic) add(node, "cyclic");
  return json::dump(layers, json::Style::pretty) + "\n";
}

class LayerTree : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS]", R"(
Shows the layers of all images by their chain IDs, each below the one it lies
on; where stacks part, branches are indented. Beside a layer stand what is
prepared of it and the images that end there.
)",
            R"(
  nexcage layer tree
  nexcage layer tree --format json
)"};
  }

  void declare(Options& options) override {
    options.text("-f,--format", "FORMAT", format_, "table or json");
  }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 0, 0, "no argument"));
    NX_TRY(const ListFormat format, parse_list_format(format_));
    NX_TRY(runtime::Services services, context.services());
    NX_TRY(const Inventory inventory, runtime::take_inventory(services));
    print(format == ListFormat::json ? tree_json(inventory) : TreeText(inventory).text());
    return 0;
  }

 private:
  std::string format_ = "table";
};

}  // namespace

std::unique_ptr<Verb> make_layer_tree() { return std::make_unique<LayerTree>(); }

}  // namespace nexcage::cli
