// Layers applied to one tree of shared_ptrs, member by member, as umoci does on disk: slow and
// short, to be compared with the tree in memory, which plans each layer apart and merges it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nexcage/image/content/tar_reader.h"
#include "nexcage/layerfs/tree/names.h"

namespace nexcage::fuzz {

class LayerModel {
 public:
  struct Node;
  using NodePtr = std::shared_ptr<Node>;
  struct Name {
    NodePtr node;
    bool is_own = false;  // the present layer made it, or put something into it
  };
  struct Node {
    image::content::TarType type{};
    std::uint64_t uid = 0;  // what tells nodes apart
    std::string target{};
    std::map<std::string, Name> names{};  // of a directory
    Node* parent = nullptr;               // of a directory; the root's is itself
  };

  LayerModel() : root_(std::make_shared<Node>(image::content::TarType::directory)) {
    root_->parent = root_.get();
  }

  const Node& root() const { return *root_; }
  void begin_layer() { disown(*root_); }

  /// False when the member must be refused.
  bool add(const image::content::TarEntry& entry) {
    const auto name = layerfs::tree::parse_entry_name(entry.name);
    if (!name) return false;
    links_ = 0;
    if (name->is_root()) {
      root_->uid = entry.uid;
      return entry.type == TarType::directory;
    }
    if (name->base.starts_with(".wh.")) return hide(name->parent, name->base);
    if (entry.type == TarType::hard_link) return link(*name, entry.link_name);
    Node* parent = resolve(name->parent, true);
    if (parent == nullptr) return false;
    const auto there = parent->names.find(name->base);
    if (entry.type == TarType::directory && there != parent->names.end() &&
        there->second.node->type == TarType::directory) {
      there->second.node->uid = entry.uid;
      there->second.is_own = true;
      return true;
    }
    put(*parent, name->base, std::make_shared<Node>(entry.type, entry.uid, entry.link_name));
    return true;
  }

 private:
  using TarType = image::content::TarType;

  static void disown(Node& directory) {
    for (auto& [text, name] : directory.names) {
      name.is_own = false;
      if (name.node->type == TarType::directory) disown(*name.node);
    }
  }

  static void put(Node& parent, const std::string& text, const NodePtr& node) {
    if (node->type == TarType::directory) node->parent = &parent;
    parent.names[text] = {.node = node, .is_own = true};
  }

  Node* resolve(const std::vector<std::string>& path, bool fill) {
    Node* at = root_.get();
    for (const std::string& name : path) {
      at = step(*at, name, fill);
      if (at == nullptr) return nullptr;
    }
    if (fill) own(*at);
    return at;
  }

  /// nullptr also where a symlink leads nowhere or round and round, which `failed_` then says.
  Node* step(Node& at, const std::string& text, bool fill) {
    const auto found = at.names.find(text);
    if (found == at.names.end()) {
      if (!fill) return nullptr;
      const auto made = std::make_shared<Node>(TarType::directory);
      put(at, text, made);
      own(at);
      return made.get();
    }
    Node& node = *found->second.node;
    if (node.type == TarType::directory) return &node;
    return node.type == TarType::symlink ? follow(at, node.target, fill) : nullptr;
  }

  Node* follow(Node& at, const std::string& target, bool fill) {
    if (++links_ > 40) return nullptr;
    Node* here = target.starts_with('/') ? root_.get() : &at;
    std::vector<std::string> missing;
    for (const std::string& name : layerfs::tree::components(target)) {
      if (name == "..") {
        if (missing.empty())
          here = here->parent;
        else
          missing.pop_back();
        continue;
      }
      Node* next = missing.empty() ? step(*here, name, false) : nullptr;
      if (links_ > 40) return nullptr;
      if (next == nullptr)
        missing.push_back(name);
      else
        here = next;
    }
    if (!fill) return missing.empty() ? here : nullptr;
    for (const std::string& name : missing) {
      here = step(*here, name, true);
      if (here == nullptr) return nullptr;
    }
    return here;
  }

  void own(Node& directory) const {
    for (Node* at = &directory; at != root_.get(); at = at->parent)
      for (auto& [text, name] : at->parent->names)
        if (name.node.get() == at) name.is_own = true;
  }

  bool hide(const std::vector<std::string>& path, const std::string& base) {
    const auto whiteout = layerfs::tree::parse_whiteout(base);
    if (!whiteout) return false;
    if (whiteout->kind == layerfs::tree::Whiteout::Kind::ignored) return true;
    Node* directory = resolve(path, false);
    if (directory == nullptr) return links_ <= 40;
    if (whiteout->kind == layerfs::tree::Whiteout::Kind::opaque) {
      purge(*directory);
      return true;
    }
    const auto found = directory->names.find(whiteout->name);
    if (found == directory->names.end()) return true;
    if (!found->second.is_own)
      directory->names.erase(found);
    else if (found->second.node->type == TarType::directory)
      purge(*found->second.node);
    return true;
  }

  /// Takes away what is not the present layer's.
  static void purge(Node& directory) {
    std::erase_if(directory.names, [](const auto& item) { return !item.second.is_own; });
    for (auto& [text, name] : directory.names)
      if (name.node->type == TarType::directory) purge(*name.node);
  }

  bool link(const layerfs::tree::EntryName& name, const std::string& target_name) {
    const auto target = layerfs::tree::parse_entry_name(target_name);
    if (!target || target->is_root()) return false;
    const Node* target_parent = resolve(target->parent, false);
    if (target_parent == nullptr) return false;
    const auto found = target_parent->names.find(target->base);
    if (found == target_parent->names.end() || found->second.node->type == TarType::directory)
      return false;
    const NodePtr node = found->second.node;
    links_ = 0;
    Node* parent = resolve(name.parent, true);
    if (parent == nullptr) return false;
    if (parent == target_parent && name.base == target->base) return true;
    const auto there = parent->names.find(name.base);
    if (there != parent->names.end())
      for (const Node* at = target_parent; at != root_.get(); at = at->parent)
        if (at == there->second.node.get()) return false;
    put(*parent, name.base, node);
    return true;
  }

  NodePtr root_;
  int links_ = 0;
};

}  // namespace nexcage::fuzz
