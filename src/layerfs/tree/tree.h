// A file system tree in memory: what an image's layers amount to, before anything is written.
//
// Built for hundreds of thousands of entries: some 130 bytes each beside its name, names looked up
// in constant time whatever the directory's size, all strings in one arena. File data is not here:
// extents say where it lies in the tars of the layers.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/layerfs/tree/arena.h"
#include "nexcage/layerfs/tree/xattr_sets.h"

namespace nexcage::layerfs::tree {

enum class Type : std::uint8_t { regular, directory, symlink, char_device, block_device, fifo };

/// Ids are small and dense; what was removed keeps its id.
using InodeId = std::uint32_t;
/// One name in one directory. Never used again after its removal.
using EntryId = std::uint32_t;
inline constexpr EntryId kNoEntry = ~EntryId{0};

/// A run of a regular file's bytes; what no extent covers is a hole.
struct Extent {
  std::uint64_t offset = 0, length = 0;  // in the file, ascending, not overlapping
  std::uint64_t source_offset = 0;       // where they are: byte in the tar of layer `source`
  std::uint32_t source = 0;              // the lowest layer is 0
  bool operator==(const Extent&) const = default;
};

/// What a file is. Views and spans live as long as the tree that gave them.
struct Inode {
  Type type = Type::regular;
  std::uint16_t mode = 0;  // 07777
  std::uint32_t uid = 0, gid = 0;
  std::uint32_t nlink = 0;  // names; of a directory 2 and one for each subdirectory; 0: removed
  std::int64_t mtime = 0;
  std::uint32_t mtime_ns = 0;
  std::uint64_t size = 0;  // of a regular file, in bytes
  std::uint32_t dev_major = 0, dev_minor = 0;
  std::string_view link_target{};
  std::span<const Extent> extents{};
  std::span<const Xattr> xattrs{};  // sorted by name
};

struct Entry {
  std::string_view name;
  InodeId inode = 0;
};

/// Of a directory that no layer describes: the same on every host.
inline constexpr Inode kImplicitDirectory{.type = Type::directory, .mode = 0755};

class Tree {
 public:
  static constexpr InodeId kRoot = 0;

  /// A tree of the root alone, which is as kImplicitDirectory.
  Tree();
  Tree(Tree&&) noexcept = default;
  Tree& operator=(Tree&&) noexcept = default;
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;
  ~Tree() = default;

  Inode inode(InodeId id) const;
  bool is_directory(InodeId id) const { return inodes_[id].type == Type::directory; }
  /// In byte order of the names.
  std::vector<Entry> entries(InodeId directory) const;
  /// All ids are below this; some may be of removed files.
  std::size_t inode_limit() const { return inodes_.size(); }
  std::size_t entry_limit() const { return names_.size(); }
  /// The directory that holds this one; the root's is the root.
  InodeId parent(InodeId directory) const;
  /// Bytes of the directory's path, "" for the root.
  std::size_t path_length(InodeId directory) const;
  /// The directory's path, for messages: "a/b"; "" for the root.
  std::string path(InodeId directory) const;
  std::optional<InodeId> find(InodeId directory, std::string_view name) const;
  /// Bytes of memory this tree takes.
  std::uint64_t memory() const;

  /// The same by entry, in no order: no allocation. kNoEntry when there is none.
  EntryId find_entry(InodeId directory, std::string_view name) const;
  EntryId first_entry(InodeId directory) const;
  EntryId next_entry(EntryId entry) const { return names_[entry].next; }
  Entry entry(EntryId id) const;
  /// False once it was removed.
  bool is_there(EntryId id) const { return names_[id].text != nullptr; }

  /// Whether the bytes that an Inode's views refer to must be copied, or lie in an arena that this
  /// tree has adopted.
  enum class Bytes : std::uint8_t { copied, adopted };
  /// A new file like this one (nlink is counted, whatever it says). The name must be free.
  InodeId add(InodeId directory, std::string_view name, const Inode& like,
              Bytes bytes = Bytes::copied);
  /// One more name for a file that is no directory; also for one that lost its last name.
  void link(InodeId directory, std::string_view name, InodeId inode, Bytes bytes = Bytes::copied);
  /// Takes the name away, with all that is below it. The name must be there.
  void remove(InodeId directory, std::string_view name);
  void remove(EntryId entry);
  /// Empties a directory.
  void clear(InodeId directory);
  /// Mode, owner, time and attributes of `like`; what the file is stays.
  void set_metadata(InodeId inode, const Inode& like);
  /// Keeps the memory of the other tree's strings, which is of no use afterwards.
  void adopt_strings(Tree&& other) { arena_.adopt(std::move(other.arena_)); }

 private:
  struct Record {
    std::int64_t mtime = 0;
    std::uint64_t size = 0;      // of devices: major << 32 | minor
    const void* data = nullptr;  // link target or extents
    std::uint32_t count = 0;     // of its bytes or extents; of a directory: length of its path
    EntryId first = kNoEntry;    // of a directory
    std::uint32_t mtime_ns = 0, uid = 0, gid = 0, nlink = 0;
    InodeId parent = 0;  // of a directory
    XattrSets::Id xattrs = XattrSets::kNone;
    std::uint16_t mode = 0;
    Type type = Type::regular;
  };
  struct Name {
    const char* text = nullptr;
    InodeId inode = 0, directory = 0;
    EntryId next = kNoEntry, previous = kNoEntry;  // in the same directory
    std::uint32_t hash = 0;
    std::uint8_t length = 0;
  };

  static std::uint32_t hash_of(InodeId directory, std::string_view name);
  std::string_view text(const Name& name) const { return {name.text, name.length}; }
  void set_record(Record& record, const Inode& like, Bytes bytes);
  void insert(InodeId directory, std::string_view name, InodeId inode, Bytes bytes);
  void erase(EntryId entry);
  void grow();
  std::size_t slot_of(EntryId entry) const;

  Arena arena_;
  XattrSets xattrs_;
  Paged<Record> inodes_;
  Paged<Name> names_;
  std::vector<std::uint32_t> slots_;  // hash table of names_: open addressing, linear
  std::size_t slots_used_ = 0;        // with those of removed entries
};

}  // namespace nexcage::layerfs::tree
