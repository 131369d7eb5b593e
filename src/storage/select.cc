#include "nexcage/storage/select.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/storage/zfs/dataset.h"

namespace nexcage::storage {
namespace {

constexpr std::array<std::string_view, 5> kKindNames = {"bundle", "local", "directory", "zfs",
                                                        "zvol"};
constexpr const char* kDefaultKey = "configuration [storage] default";

const std::string* annotation(const oci::Spec& spec, const char* name) {
  const auto found = spec.annotations.find(name);
  return found == spec.annotations.end() ? nullptr : &found->second;
}

std::string said_by(const char* name) { return std::string("annotation ") + name; }

/// Who decided: for messages, and to tell what a more particular wish may replace.
struct Word {
  std::string text, from;
  bool is_default = false;
};

/// The configured dataset, or the named one, which must lie within it: what an annotation says may
/// come from an image's labels.
Result<std::string> dataset(const Word& word, const Defaults& defaults) {
  if (defaults.zfs_dataset.empty())
    return fail(Error(Errc::ConfigError, word.from + ": storage " + quote(word.text) +
                                             ", but no dataset is configured")
                    .hint("set [zfs] dataset to the one in which containers shall be"));
  NX_TRY(const zfs::Parent configured, zfs::Parent::parse(defaults.zfs_dataset),
         "configuration [zfs] dataset");
  const auto colon = word.text.find(':');
  if (colon == std::string::npos) return configured.name();
  NX_TRY(const zfs::Parent chosen, configured.below(word.text.substr(colon + 1)), word.from);
  return chosen.name();
}

Result<> choose(const Word& word, const Defaults& defaults, Choice& choice) {
  if (word.text == "local") {
    choice.kind = Kind::local;
  } else if (word.text == "raw") {
    choice.kind = Kind::local;
    choice.raw.emplace();
  } else if (word.text == "zfs" || word.text.starts_with("zfs:")) {
    choice.kind = Kind::zfs;
    NX_TRY(choice.location, dataset(word, defaults));
  } else if (word.text == "zvol" || word.text.starts_with("zvol:")) {
    choice.kind = Kind::zvol;
    choice.raw.emplace();
    NX_TRY(choice.location, dataset(word, defaults));
  } else if (word.text.starts_with("dir:")) {
    choice.kind = Kind::directory;
    choice.location = word.text.substr(4);
    if (!choice.location.starts_with('/') || choice.location.find('\0') != std::string::npos)
      return fail(Errc::ConfigError,
                  word.from + ": storage " + quote(word.text) + " needs an absolute path");
  } else {
    return fail(
        Error(Errc::ConfigError, word.from + ": storage " + quote(word.text) + " is not available")
            .hint("use \"local\", \"dir:/absolute/path\", \"zfs\", \"zfs:dataset\", \"zvol\", "
                  "\"zvol:dataset\" or \"raw\""));
  }
  choice.steps.push_back(word.from + " says " + quote(word.text));
  return {};
}

Result<Word> find_word(const oci::Spec& spec, const Defaults& defaults, Form form,
                       std::vector<std::string>& steps) {
  if (const std::string* text = annotation(spec, kStorageAnnotation))
    return Word{*text, said_by(kStorageAnnotation)};
  steps.push_back("no " + said_by(kStorageAnnotation));
  const auto mount = std::ranges::find_if(spec.mounts, is_root_mount);
  if (mount != spec.mounts.end()) return Word{mount->source, "mount on /"};
  steps.emplace_back("no mount on / with a source of zfs: or dir:");
  if (form == Form::bundle) return Word{};
  return Word{defaults.storage.empty() ? "local" : defaults.storage, kDefaultKey, true};
}

Result<std::uint64_t> parse_size(const std::string& text, const std::string& from) {
  auto bytes = parse_bytes(text);
  if (!bytes) return fail(std::move(bytes).error().as(Errc::ConfigError).wrap(from));
  if (*bytes == 0) return fail(Errc::ConfigError, from + ": a size of 0 bytes holds nothing");
  return *bytes;
}

/// nullopt: nobody speaks of an image; false: none is wanted.
struct RawWish {
  std::optional<bool> wanted;
  raw::FileSystem file_system{};
  std::string from;
};

Result<RawWish> parse_raw(const std::string& text, std::string from) {
  if (text == "false") return RawWish{false, {}, std::move(from)};
  if (text == "true") return RawWish{true, {}, std::move(from)};
  NX_TRY(const raw::FileSystem kind, raw::parse_file_system(text), from);
  return RawWish{true, kind, std::move(from)};
}

Result<RawWish> find_raw(const oci::Spec& spec) {
  if (const std::string* text = annotation(spec, kRawAnnotation))
    return parse_raw(*text, said_by(kRawAnnotation));
  const json::Value* member = spec.document.find("raw_image");
  if (member == nullptr || member->is_null()) return RawWish{};
  if (const bool* flag = member->if_bool()) return RawWish{*flag, {}, "/raw_image"};
  if (member->if_string() != nullptr) return parse_raw(member->text(), "/raw_image");
  return fail(Errc::ConfigError, "/raw_image: must be a boolean or the name of a file system");
}

Result<std::optional<std::uint64_t>> find_raw_size(const oci::Spec& spec) {
  using Size = std::optional<std::uint64_t>;
  if (const std::string* text = annotation(spec, kRawSizeAnnotation)) {
    NX_TRY(const std::uint64_t bytes, parse_size(*text, said_by(kRawSizeAnnotation)));
    return Size(bytes);
  }
  const json::Value* member = spec.document.find("raw_image_size");
  if (member == nullptr || member->is_null()) return Size();
  if (const auto bytes = member->as_u64()) {
    NX_TRY(const std::uint64_t size, parse_size(std::to_string(*bytes), "/raw_image_size"));
    return Size(size);
  }
  if (member->if_string() == nullptr)
    return fail(Errc::ConfigError, "/raw_image_size: must be a number of bytes or a size");
  NX_TRY(const std::uint64_t size, parse_size(member->text(), "/raw_image_size"));
  return Size(size);
}

Result<> settle_raw(const oci::Spec& spec, Choice& choice) {
  NX_TRY(const RawWish wish, find_raw(spec));
  NX_TRY(const std::optional<std::uint64_t> size, find_raw_size(spec));
  if (wish.wanted == false && choice.kind == Kind::zvol)
    return fail(Errc::ConfigError,
                wish.from + " refuses an image, but storage zvol is a block device and needs one");
  if (wish.wanted == false) choice.raw.reset();
  if (wish.wanted == true) {
    choice.raw = RawChoice{.file_system = wish.file_system};
    if (choice.kind == Kind::bundle) choice.kind = Kind::local;
    choice.steps.push_back(wish.from + " asks for an image file");
  }
  if (!choice.raw) {
    if (size)
      return fail(
          Error(Errc::ConfigError, "a size of a raw image is given, but no raw image is asked for")
              .hint(std::string("add the annotation ") + kRawAnnotation + "=true"));
    return {};
  }
  if (size) choice.size = size;
  choice.raw->bytes = choice.size.value_or(raw::kDefaultSize);
  choice.size = choice.raw->bytes;
  return {};
}

/// The clone of a dataset is the root file system; every other storage takes any driver's mount.
Result<> settle_driver(const oci::Spec& spec, const Word& word, const Defaults& defaults,
                       Choice& choice) {
  const std::string* asked = annotation(spec, kLayerfsAnnotation);
  const std::string wanted = asked != nullptr ? *asked : defaults.layerfs;
  const bool wants_zfs = wanted == "zfs";
  if (wants_zfs && choice.kind == Kind::local && word.is_default && !choice.raw) {
    const std::string from =
        asked != nullptr ? said_by(kLayerfsAnnotation) : "configuration [layerfs] driver";
    NX_CHECK(choose({"zfs", from}, defaults, choice));
  }
  if (choice.kind == Kind::zfs && !choice.raw) {
    if (asked != nullptr && !wants_zfs && *asked != "auto")
      return fail(
          Error(Errc::ConfigError, said_by(kLayerfsAnnotation) + ": driver " + quote(*asked) +
                                       " has no place on storage zfs")
              .hint("there the layers are a dataset and the container its clone: driver zfs"));
    choice.layerfs = "zfs";
    return {};
  }
  if (wants_zfs && choice.kind != Kind::bundle) {
    if (asked != nullptr)
      return fail(Error(
          Errc::ConfigError,
          said_by(kLayerfsAnnotation) + ": driver zfs needs storage zfs, without a raw image"));
    choice.layerfs = "auto";
    return {};
  }
  if (asked != nullptr) choice.layerfs = *asked;
  return {};
}

/// What is written to memory needs no storage.
Result<> settle_memory(const oci::Spec& spec, const Word& word, Choice& choice) {
  if (annotation(spec, kTmpfsAnnotation) == nullptr) return {};
  if (choice.kind != Kind::zfs && !choice.raw) return {};
  NX_TRY(const RawWish raw_wish, find_raw(spec));
  const std::string* driver = annotation(spec, kLayerfsAnnotation);
  if (!word.is_default || raw_wish.wanted || (driver != nullptr && *driver == "zfs"))
    return fail(Errc::ConfigError, said_by(kTmpfsAnnotation) +
                                       ": what is written shall stay in memory, but a storage that "
                                       "holds it is asked for as well");
  choice.kind = Kind::local;
  choice.location.clear();
  choice.raw.reset();
  choice.layerfs = "auto";
  choice.steps.push_back(said_by(kTmpfsAnnotation) +
                         ": what is written stays in memory and needs no storage");
  return {};
}

Result<> check_size(const Choice& choice) {
  if (!choice.size || choice.raw || choice.kind == Kind::zfs) return {};
  return fail(Error(Errc::Unsupported, said_by(kSizeAnnotation) + ": storage " +
                                           std::string(kind_name(choice.kind)) +
                                           " is a directory, which has no limit of its own")
                  .hint("take storage zfs, or a raw image"));
}

}  // namespace

std::string_view kind_name(Kind kind) { return kKindNames.at(static_cast<std::size_t>(kind)); }

bool is_root_mount(const oci::Mount& mount) {
  return mount.destination == "/" &&
         (mount.source.starts_with("zfs:") || mount.source.starts_with("dir:"));
}

Result<Choice> select(const oci::Spec& spec, const Defaults& defaults, Form form) {
  Choice choice;
  NX_TRY(const Word word, find_word(spec, defaults, form, choice.steps));
  if (word.text.empty()) {
    choice.kind = Kind::bundle;
    choice.steps.emplace_back("the bundle's own root file system");
  } else {
    NX_CHECK(choose(word, defaults, choice));
  }
  if (const std::string* text = annotation(spec, kSizeAnnotation)) {
    NX_TRY(choice.size, parse_size(*text, said_by(kSizeAnnotation)));
  }
  NX_CHECK(settle_raw(spec, choice));
  if (form == Form::image) NX_CHECK(settle_driver(spec, word, defaults, choice));
  if (form == Form::image) NX_CHECK(settle_memory(spec, word, choice));
  NX_CHECK(check_size(choice));
  return choice;
}

}  // namespace nexcage::storage
