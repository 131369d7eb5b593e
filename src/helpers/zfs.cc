// libexec/nexcage/zfs: `zfs clone`, at a cost that does not grow with the number of clones. Usage:
//
//   zfs clone -o NAME=VALUE... SNAPSHOT DATASET
//
// zfs(8) asks for everything about the snapshot first, and the kernel then opens each clone of it.
// libzfs_core (its header has the calls) makes the clone and asks nothing; it is loaded and not
// linked, since few hosts have it. Whatever else there is to do or to tell, zfs(8) does: this
// program becomes it, with the same arguments.
#include <dlfcn.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace {

constexpr const char* kCore = "libzfs_core.so.3";
constexpr const char* kPairs = "libnvpair.so.3";
constexpr unsigned kUniqueNames = 1;  // NV_UNIQUE_NAME of <sys/nvpair.h>

struct NvList;
using FreeList = void (*)(NvList*);
using List = std::unique_ptr<NvList, FreeList>;

/// The functions that are needed, all of them or none.
struct Library {
  int (*init)() = nullptr;
  int (*clone)(const char* dataset, const char* snapshot, NvList* properties) = nullptr;
  int (*alloc)(NvList** list, unsigned flags, int how) = nullptr;
  int (*add_string)(NvList* list, const char* name, const char* value) = nullptr;
  int (*add_number)(NvList* list, const char* name, std::uint64_t value) = nullptr;
  FreeList free = nullptr;
};

template <class Function>
bool find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(library, name));
  return function != nullptr;
}

/// The libraries stay loaded until the process ends.
std::optional<Library> load() {
  void* pairs = ::dlopen(kPairs, RTLD_NOW | RTLD_GLOBAL);
  void* core = pairs != nullptr ? ::dlopen(kCore, RTLD_NOW) : nullptr;
  Library library;
  if (core != nullptr && find(core, "libzfs_core_init", library.init) &&
      find(core, "lzc_clone", library.clone) && find(pairs, "nvlist_alloc", library.alloc) &&
      find(pairs, "nvlist_add_string", library.add_string) &&
      find(pairs, "nvlist_add_uint64", library.add_number) &&
      find(pairs, "nvlist_free", library.free))
    return library;
  return std::nullopt;
}

struct Property {
  std::string name;
  std::variant<std::string, std::uint64_t> value;
};

/// What zfs(8) shows as a word and the pool keeps as a number (<sys/fs/zfs.h>).
struct Word {
  std::string_view name, value;
  std::uint64_t number;
};
constexpr std::array kWords = std::to_array<Word>({
    {"acltype", "posixacl", 1},
    {"xattr", "sa", 2},
});

/// As the kernel takes it; nullopt for one that only zfs(8) knows.
std::optional<Property> property_of(std::string_view text) {
  const std::size_t sign = text.find('=');
  if (sign == std::string_view::npos) return std::nullopt;
  const std::string_view name = text.substr(0, sign), value = text.substr(sign + 1);
  if (name.find(':') != std::string_view::npos || (name == "mountpoint" && value == "legacy"))
    return Property{std::string(name), std::string(value)};
  for (const Word& word : kWords)
    if (name == word.name && value == word.value) return Property{std::string(name), word.number};
  if (name != "refquota") return std::nullopt;
  std::uint64_t number = 0;
  const auto [end, failure] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (failure != std::errc() || end != value.data() + value.size()) return std::nullopt;
  return Property{std::string(name), number};
}

struct Clone {
  std::string snapshot, dataset;
  std::vector<Property> properties;
};

/// nullopt unless this program can do what is asked: a clone that is not mounted.
std::optional<Clone> parse(std::span<char*> words) {
  if (words.empty() || std::string_view(words.front()) != "clone") return std::nullopt;
  Clone clone;
  bool legacy = false;
  std::size_t at = 1;
  for (; at + 1 < words.size() && std::string_view(words[at]) == "-o"; at += 2) {
    auto property = property_of(words[at + 1]);
    if (!property) return std::nullopt;
    legacy = legacy || property->name == "mountpoint";
    clone.properties.push_back(*std::move(property));
  }
  if (!legacy || words.size() != at + 2 || words[at][0] == '-') return std::nullopt;
  clone.snapshot = words[at];
  clone.dataset = words[at + 1];
  return clone;
}

bool add(const Library& library, NvList* list, const Property& property) {
  if (const auto* text = std::get_if<std::string>(&property.value))
    return library.add_string(list, property.name.c_str(), text->c_str()) == 0;
  return library.add_number(list, property.name.c_str(), std::get<std::uint64_t>(property.value)) ==
         0;
}

bool done(const Library& library, const Clone& clone) {
  NvList* raw = nullptr;
  if (library.init() != 0 || library.alloc(&raw, kUniqueNames, 0) != 0) return false;
  const List list(raw, library.free);
  for (const Property& property : clone.properties)
    if (!add(library, list.get(), property)) return false;
  return library.clone(clone.dataset.c_str(), clone.snapshot.c_str(), list.get()) == 0;
}

}  // namespace

int main(int argc, char** argv) {
  const auto clone = parse({argv + 1, static_cast<std::size_t>(argc - 1)});
  if (clone) {
    const auto library = load();
    if (library && done(*library, *clone)) return 0;
  }
  // What it was that failed, zfs(8) tells in its own words, or does it.
  std::string program = "zfs";
  argv[0] = program.data();
  ::execvp("zfs", argv);
  std::fprintf(stderr, "cannot run zfs: %s\n", std::strerror(errno));
  return 127;
}
