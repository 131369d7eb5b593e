// A tree made from the input, written as an EROFS image in both forms, is the tree that is read
// back.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "harness.h"
#include "layer_tree_compare.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/layerfs/erofs/read.h"
#include "nexcage/layerfs/erofs/write.h"

namespace nexcage::fuzz {
namespace {

using layerfs::erofs::Form;
using layerfs::tree::Extent;
using layerfs::tree::Inode;
using layerfs::tree::InodeId;
using layerfs::tree::Tree;
using layerfs::tree::Type;
using layerfs::tree::Xattr;

/// The archives that file data is taken from; the second ends within a block.
constexpr std::array<std::size_t, 2> kArchives = {64 << 10, (8 << 10) + 100};
constexpr std::size_t kMaxFiles = 300;

struct Archives {
  std::array<std::string, 2> bytes;
  std::array<UniqueFd, 2> files;

  Archives() {
    for (std::size_t i = 0; i < files.size(); ++i) {
      bytes[i].resize(kArchives[i]);
      std::uint32_t state = static_cast<std::uint32_t>(i) + 1;
      for (char& byte : bytes[i]) {
        state = state * 1664525U + 1013904223U;
        byte = static_cast<char>(state >> 24);
      }
      files[i].reset(::memfd_create("archive", MFD_CLOEXEC));
      check(::pwrite(files[i].get(), bytes[i].data(), bytes[i].size(), 0) ==
                static_cast<ssize_t>(bytes[i].size()),
            "archives can be made");
    }
  }
};

/// Takes the input apart; zeros behind its end.
class Input {
 public:
  explicit Input(std::string_view bytes) : left_(bytes) {}
  bool empty() const { return left_.empty(); }
  std::uint8_t byte() {
    if (left_.empty()) return 0;
    const auto value = static_cast<std::uint8_t>(left_.front());
    left_.remove_prefix(1);
    return value;
  }
  /// Numbers of all sizes, below 2^bits.
  std::uint64_t number(unsigned bits) {
    std::uint64_t value = 0;
    for (unsigned i = 0; i < 4; ++i) value = value << 8 | byte();
    const unsigned wanted = byte() % (bits + 1);
    return wanted == 0 ? 0 : value * 0x9e3779b97f4a7c15U >> (64 - wanted);
  }
  std::string text(std::size_t most) {
    const std::size_t length = std::min<std::size_t>(1 + number(8) % most, most);
    std::string text(left_.substr(0, length));
    left_.remove_prefix(text.size());
    if (const std::size_t got = text.size(); got < length && length % 3 == 0)
      text.resize(length, static_cast<char>('a' + length % 26));
    return text;
  }

 private:
  std::string_view left_;
};

std::string file_name(Input& input) {
  std::string name = input.text(255);
  std::ranges::replace(name, '/', '|');
  std::ranges::replace(name, '\0', '0');
  return name == "." || name == ".." || name.empty() ? name + "x" : name;
}

/// Strings that an inode refers to until it is in the tree.
struct Parts {
  std::string target;
  std::vector<Extent> extents;
  std::vector<std::pair<std::string, std::string>> strings;
  std::vector<Xattr> xattrs;
};

void make_xattrs(Input& input, Inode& inode, Parts& parts) {
  constexpr std::array<std::string_view, 3> kPrefixes = {"user.", "trusted.", "security."};
  for (unsigned count = input.byte() % 8; count > 0; --count) {
    const std::string_view prefix = kPrefixes[input.byte() % kPrefixes.size()];
    std::string name = std::string(prefix) + file_name(input).substr(0, 100);
    const std::uint8_t kind = input.byte();
    parts.strings.emplace_back(std::move(name), kind % 16 == 0
                                                    ? std::string(std::size_t{257} * kind, 'v')
                                                    : input.text(40));
  }
  if (input.byte() % 32 == 1)
    parts.strings.emplace_back("system.posix_acl_access",
                               std::string("\2\0\0\0\2\0\7\0\1\0\0\0", 12));
  std::ranges::sort(parts.strings);
  const auto again = std::ranges::unique(parts.strings, {}, [](const auto& s) { return s.first; });
  parts.strings.erase(again.begin(), again.end());
  for (const auto& [name, value] : parts.strings) parts.xattrs.push_back({name, value});
  inode.xattrs = parts.xattrs;
}

void make_data(Input& input, Inode& inode, Parts& parts) {
  std::uint64_t at = 0;
  for (unsigned count = input.byte() % 16; count > 0; --count) {
    const std::uint32_t source = input.byte() % 2;
    const std::uint64_t unit = input.byte() % 2 == 0 ? 512 : 1;
    at += input.number(14) / unit * unit;
    const std::uint64_t from = input.number(16) / unit * unit % kArchives[source];
    const std::uint64_t length =
        std::min<std::uint64_t>(1 + input.number(14), kArchives[source] - from);
    parts.extents.push_back(
        {.offset = at, .length = length, .source_offset = from, .source = source});
    at += length;
    if (unit == 512) at = (at + 511) / 512 * 512;
  }
  const std::uint64_t end =
      parts.extents.empty() ? 0 : parts.extents.back().offset + parts.extents.back().length;
  inode.size = end + (input.byte() % 2 == 0 ? 0 : input.number(20));
  inode.extents = parts.extents;
}

Inode make_inode(Input& input, Parts& parts) {
  Inode inode{.type = static_cast<Type>(input.byte() % 6),
              .mode = static_cast<std::uint16_t>(input.number(12)),
              .uid = static_cast<std::uint32_t>(input.number(32)),
              .gid = static_cast<std::uint32_t>(input.number(32)),
              .mtime = static_cast<std::int64_t>(input.number(34)) - (1LL << 33),
              .mtime_ns = static_cast<std::uint32_t>(input.number(32) % 1'000'000'000)};
  if (inode.type == Type::symlink) {
    parts.target = input.text(255);
    std::ranges::replace(parts.target, '\0', '0');
    if (parts.target.empty()) parts.target = "t";
    if (input.byte() % 8 == 0) parts.target.resize(input.number(12) % 4095 + 1, 'l');
    inode.link_target = parts.target;
  } else if (inode.type == Type::char_device || inode.type == Type::block_device) {
    inode.dev_major = static_cast<std::uint32_t>(input.number(12));
    inode.dev_minor = static_cast<std::uint32_t>(input.number(20));
  } else if (inode.type == Type::regular) {
    make_data(input, inode, parts);
  }
  make_xattrs(input, inode, parts);
  return inode;
}

Tree make_tree(Input& input) {
  Tree tree;
  std::vector<InodeId> directories = {Tree::kRoot};
  std::vector<InodeId> files;
  for (std::size_t made = 0; !input.empty() && made < kMaxFiles; ++made) {
    const std::uint8_t step = input.byte();
    const InodeId in = directories[input.byte() % directories.size()];
    const std::string name = file_name(input);
    if (tree.find(in, name)) {
      if (const InodeId there = *tree.find(in, name); !tree.is_directory(there))
        tree.remove(in, name);
      std::erase_if(files, [&](InodeId id) { return tree.inode(id).nlink == 0; });
    } else if (step % 8 == 0 && !files.empty()) {
      tree.link(in, name, files[input.byte() % files.size()]);
    } else if (step % 8 == 1) {  // many of a kind
      for (unsigned i = 0; i < step; ++i) {
        const std::string numbered = name.substr(0, 250) + std::to_string(i);
        if (!tree.find(in, numbered)) tree.add(in, numbered, {.type = Type::fifo, .mode = 0600});
      }
    } else {
      Parts parts;
      const Inode inode = make_inode(input, parts);
      const InodeId id = tree.add(in, name, inode);
      (inode.type == Type::directory ? directories : files).push_back(id);
    }
  }
  return tree;
}

void check_form(const Tree& tree, const Archives& archives, Form form) {
  static const UniqueFd out(::memfd_create("image", MFD_CLOEXEC));
  check(::ftruncate(out.get(), 0) == 0, "the image can be emptied");
  layerfs::erofs::WriteOptions options{.form = form, .devices = {}};
  if (form == Form::index)
    for (const std::string& bytes : archives.bytes) options.devices.push_back({bytes.size()});
  const std::array<int, 2> fds = {archives.files[0].get(), archives.files[1].get()};
  const auto written = layerfs::erofs::write(tree, options, fds, out.get());
  check(written.has_value(), "the tree can be written");
  std::string image(written->bytes, '\0');
  check(::pread(out.get(), image.data(), image.size(), 0) == static_cast<ssize_t>(image.size()),
        "the image has the size that was said");
  const auto content = layerfs::erofs::read(std::as_bytes(std::span(image)));
  check(content.has_value(), "the image can be read");
  const testing::TreeData expected{
      .tree = tree, .read = [&](std::uint32_t source, std::uint64_t offset, std::span<char> to) {
        std::ranges::copy(std::string_view(archives.bytes[source]).substr(offset, to.size()),
                          to.begin());
      }};
  const testing::TreeData actual{
      .tree = content->tree,
      .read = [&](std::uint32_t source, std::uint64_t offset, std::span<char> to) {
        const std::string_view from = source == layerfs::erofs::kImageSource
                                          ? std::string_view(image)
                                          : std::string_view(archives.bytes[source]);
        const std::string_view part = from.substr(offset, to.size());
        check(part.size() == to.size(), "data is where the image says");
        std::ranges::copy(part, to.begin());
      }};
  const std::string difference = testing::compare_layer_trees(expected, actual);
  check(difference.empty(), difference.c_str());
}

}  // namespace

NX_HARNESS(erofs_round_trip) {
  static const Archives archives;
  Input input(text_of(data, size));
  const Tree tree = make_tree(input);
  for (const Form form : {Form::index, Form::full}) check_form(tree, archives, form);
  return 0;
}

}  // namespace nexcage::fuzz
