#include "nexcage/layerfs/tree/tree.h"

#include <algorithm>
#include <functional>
#include <ranges>
#include <utility>

#include "nexcage/layerfs/tree/keyed_hash.h"

namespace nexcage::layerfs::tree {
namespace {

// What a slot of the hash table holds: these or an entry's id.
constexpr std::uint32_t kFree = ~std::uint32_t{0};
constexpr std::uint32_t kRemoved = kFree - 1;
constexpr std::size_t kFirstSlots = 64;

bool is_device(Type type) { return type == Type::char_device || type == Type::block_device; }

}  // namespace

Tree::Tree() {
  Record root;
  set_record(root, kImplicitDirectory, Bytes::copied);
  root.nlink = 2;
  inodes_.push_back(root);
}

Inode Tree::inode(InodeId id) const {
  const Record& record = inodes_[id];
  Inode result{.type = record.type,
               .mode = record.mode,
               .uid = record.uid,
               .gid = record.gid,
               .nlink = record.nlink,
               .mtime = record.mtime,
               .mtime_ns = record.mtime_ns};
  result.xattrs = xattrs_.get(record.xattrs);
  if (record.type == Type::regular) {
    result.size = record.size;
    result.extents = {static_cast<const Extent*>(record.data), record.count};
  } else if (record.type == Type::symlink) {
    result.link_target = {static_cast<const char*>(record.data), record.count};
  } else if (is_device(record.type)) {
    result.dev_major = static_cast<std::uint32_t>(record.size >> 32);
    result.dev_minor = static_cast<std::uint32_t>(record.size);
  }
  return result;
}

std::vector<Entry> Tree::entries(InodeId directory) const {
  std::vector<Entry> result;
  for (EntryId id = first_entry(directory); id != kNoEntry; id = next_entry(id))
    result.push_back(entry(id));
  std::ranges::sort(result, std::less(), &Entry::name);
  return result;
}

InodeId Tree::parent(InodeId directory) const { return inodes_[directory].parent; }
std::size_t Tree::path_length(InodeId directory) const { return inodes_[directory].count; }
EntryId Tree::first_entry(InodeId directory) const { return inodes_[directory].first; }
Entry Tree::entry(EntryId id) const {
  return {.name = text(names_[id]), .inode = names_[id].inode};
}

std::string Tree::path(InodeId directory) const {
  std::vector<std::string_view> parts;
  for (InodeId at = directory; at != kRoot; at = parent(at)) {
    // A directory does not know its own name; its parent does.
    for (EntryId id = first_entry(parent(at)); id != kNoEntry; id = next_entry(id))
      if (names_[id].inode == at) parts.push_back(text(names_[id]));
  }
  std::string path;
  for (const std::string_view part : parts | std::views::reverse) {
    if (!path.empty()) path += '/';
    path += part;
  }
  return path;
}

std::uint64_t Tree::memory() const {
  return arena_.bytes() + xattrs_.bytes() + inodes_.bytes() + names_.bytes() +
         slots_.capacity() * sizeof(slots_[0]);
}

std::uint32_t Tree::hash_of(InodeId directory, std::string_view name) {
  return static_cast<std::uint32_t>(keyed_hash(name, directory));
}

EntryId Tree::find_entry(InodeId directory, std::string_view name) const {
  if (slots_.empty()) return kNoEntry;
  const std::uint32_t hash = hash_of(directory, name);
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t at = hash & mask; slots_[at] != kFree; at = (at + 1) & mask) {
    if (slots_[at] == kRemoved) continue;
    const Name& found = names_[slots_[at]];
    if (found.hash == hash && found.directory == directory && text(found) == name)
      return slots_[at];
  }
  return kNoEntry;
}

std::optional<InodeId> Tree::find(InodeId directory, std::string_view name) const {
  const EntryId id = find_entry(directory, name);
  if (id == kNoEntry) return std::nullopt;
  return names_[id].inode;
}

void Tree::set_record(Record& record, const Inode& like, Bytes bytes) {
  const bool copied = bytes == Bytes::copied;
  record.type = like.type;
  record.mode = like.mode;
  record.uid = like.uid;
  record.gid = like.gid;
  record.mtime = like.mtime;
  record.mtime_ns = like.mtime_ns;
  record.xattrs = xattrs_.add(like.xattrs, arena_);
  if (like.type == Type::regular) {
    record.size = like.size;
    record.data = (copied ? arena_.copy(like.extents) : like.extents).data();
    record.count = static_cast<std::uint32_t>(like.extents.size());
  } else if (like.type == Type::symlink) {
    record.data = (copied ? arena_.copy(like.link_target) : like.link_target).data();
    record.count = static_cast<std::uint32_t>(like.link_target.size());
  } else if (is_device(like.type)) {
    record.size = (std::uint64_t{like.dev_major} << 32) | like.dev_minor;
  }
}

InodeId Tree::add(InodeId directory, std::string_view name, const Inode& like, Bytes bytes) {
  const auto id = static_cast<InodeId>(inodes_.size());
  Record record;
  set_record(record, like, bytes);
  if (like.type == Type::directory) {
    const std::size_t before = path_length(directory);
    record.count = static_cast<std::uint32_t>(before + (before == 0 ? 0 : 1) + name.size());
    record.nlink = 1;  // its own "."; the name is counted below
    record.parent = directory;
    ++inodes_[directory].nlink;
  }
  inodes_.push_back(record);
  insert(directory, name, id, bytes);
  return id;
}

void Tree::link(InodeId directory, std::string_view name, InodeId inode, Bytes bytes) {
  insert(directory, name, inode, bytes);
}

void Tree::insert(InodeId directory, std::string_view name, InodeId inode, Bytes bytes) {
  if ((slots_used_ + 1) * 4 > slots_.size() * 3) grow();
  const auto id = static_cast<EntryId>(names_.size());
  Record& parent = inodes_[directory];
  names_.push_back({.text = bytes == Bytes::copied ? arena_.copy(name).data() : name.data(),
                    .inode = inode,
                    .directory = directory,
                    .next = parent.first,
                    .hash = hash_of(directory, name),
                    .length = static_cast<std::uint8_t>(name.size())});
  if (parent.first != kNoEntry) names_[parent.first].previous = id;
  parent.first = id;
  ++inodes_[inode].nlink;
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = names_[id].hash & mask;
  while (slots_[at] != kFree) at = (at + 1) & mask;
  slots_[at] = id;
  ++slots_used_;
}

void Tree::grow() {
  // Slots of removed entries are not kept; a table full of those only is as large as before.
  std::size_t live = 0;
  for (const std::uint32_t slot : slots_) live += slot < kRemoved ? 1 : 0;
  std::size_t size = std::max(kFirstSlots, slots_.size());
  while ((live + 1) * 2 > size) size *= 2;
  const std::vector<std::uint32_t> old = std::exchange(slots_, {});
  slots_.assign(size, kFree);
  for (const std::uint32_t slot : old) {
    if (slot >= kRemoved) continue;
    std::size_t at = names_[slot].hash & (size - 1);
    while (slots_[at] != kFree) at = (at + 1) & (size - 1);
    slots_[at] = slot;
  }
  slots_used_ = live;
}

std::size_t Tree::slot_of(EntryId entry) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = names_[entry].hash & mask;
  while (slots_[at] != entry) at = (at + 1) & mask;
  return at;
}

/// Out of the table and its directory's list; one name less for the inode.
void Tree::erase(EntryId entry) {
  slots_[slot_of(entry)] = kRemoved;
  Name& name = names_[entry];
  name.text = nullptr;
  Record& parent = inodes_[name.directory];
  if (name.previous == kNoEntry)
    parent.first = name.next;
  else
    names_[name.previous].next = name.next;
  if (name.next != kNoEntry) names_[name.next].previous = name.previous;
  Record& inode = inodes_[name.inode];
  if (inode.type == Type::directory) {
    inode.nlink = 0;
    --parent.nlink;
  } else {
    --inode.nlink;
  }
}

void Tree::remove(InodeId directory, std::string_view name) { remove(find_entry(directory, name)); }

void Tree::remove(EntryId entry) {
  const InodeId inode = names_[entry].inode;
  if (is_directory(inode)) clear(inode);
  erase(entry);
}

void Tree::clear(InodeId directory) {
  // No recursion: an image decides how deep its directories are.
  for (InodeId at = directory; true;) {
    const EntryId entry = first_entry(at);
    if (entry == kNoEntry) {
      if (at == directory) return;
      at = parent(at);
      erase(first_entry(at));
    } else if (const InodeId inode = names_[entry].inode; is_directory(inode)) {
      at = inode;
    } else {
      erase(entry);
    }
  }
}

void Tree::set_metadata(InodeId inode, const Inode& like) {
  Record& record = inodes_[inode];
  record.mode = like.mode;
  record.uid = like.uid;
  record.gid = like.gid;
  record.mtime = like.mtime;
  record.mtime_ns = like.mtime_ns;
  record.xattrs = xattrs_.add(like.xattrs, arena_);
}

}  // namespace nexcage::layerfs::tree
