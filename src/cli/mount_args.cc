#include "nexcage/cli/mount_args.h"

#include <algorithm>
#include <array>
#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"

namespace nexcage::cli {
namespace {

constexpr std::array<std::string_view, 8> kPropagation = {
    "shared", "rshared", "slave", "rslave", "private", "rprivate", "unbindable", "runbindable"};
constexpr std::array<std::string_view, 9> kFlags = {"ro",  "rw",     "nosuid", "suid",   "nodev",
                                                    "dev", "noexec", "exec",   "noatime"};
constexpr std::array<std::string_view, 7> kRefused = {"z",     "Z",    "U",     "O",
                                                      "idmap", "copy", "nocopy"};

bool is_one_of(std::string_view word, std::span<const std::string_view> words) {
  return std::ranges::find(words, word) != words.end();
}

/// What the words of one mount say, collected before it is made.
struct Wanted {
  std::string type = "bind";
  std::string source, destination;
  std::string propagation = "rprivate";
  std::string bind = "rbind";
  std::vector<std::string> options;
};

/// One word that --volume and --mount share.
Result<> add_word(Wanted& wanted, std::string_view word) {
  if (is_one_of(word, kPropagation))
    wanted.propagation = word;
  else if (word == "bind" || word == "rbind")
    wanted.bind = word;
  else if (is_one_of(word, kFlags))
    wanted.options.emplace_back(word);
  else if (is_one_of(word, kRefused))
    return fail(Errc::Unsupported, "mount option " + quote(word));
  else
    return fail(Errc::InvalidSpec, "unknown mount option " + quote(word));
  return {};
}

Result<oci::Mount> finish(Wanted wanted, const std::string& here) {
  if (!wanted.destination.starts_with('/'))
    return fail(Errc::InvalidSpec,
                "mount destination " + quote(wanted.destination) + " must be an absolute path");
  oci::Mount mount;
  mount.destination = sys::clean_path(wanted.destination);
  if (mount.destination == "/")
    return fail(Errc::InvalidSpec, "mount destination must not be the root directory");
  mount.type = wanted.type;
  if (wanted.type == "bind") {
    if (wanted.source.empty()) return fail(Errc::InvalidSpec, "bind mount without a source");
    mount.source = sys::clean_path(wanted.source.starts_with('/') ? wanted.source
                                                                  : here + "/" + wanted.source);
    mount.options = {wanted.bind, wanted.propagation};
  } else {
    mount.source = "tmpfs";
    // Podman's defaults: a tmpfs is no place for devices or set-uid programs unless asked for.
    mount.options = {"nosuid", "nodev", wanted.propagation};
  }
  mount.options.insert(mount.options.end(), std::make_move_iterator(wanted.options.begin()),
                       std::make_move_iterator(wanted.options.end()));
  return mount;
}

Result<> set_type(Wanted& wanted, const std::string& value) {
  if (value != "bind" && value != "tmpfs")
    return fail(Errc::Unsupported,
                "mount type " + quote(value) + ": only bind and tmpfs are known");
  wanted.type = value;
  return {};
}

/// "ro", "ro=true", "readonly=false" and the same for rw.
Result<> set_access(Wanted& wanted, std::string_view name, std::string_view value) {
  if (!value.empty() && value != "true" && value != "false")
    return fail(Errc::InvalidSpec, std::string(name) + "=" + quote(value) + " is no boolean");
  const bool read_only = (name == "rw") == (value == "false");
  wanted.options.emplace_back(read_only ? "ro" : "rw");
  return {};
}

Result<> add_field(Wanted& wanted, std::string_view field) {
  const std::size_t equals = field.find('=');
  const std::string_view name = field.substr(0, equals);
  const std::string value(equals == field.npos ? "" : field.substr(equals + 1));
  if (name == "type") return set_type(wanted, value);
  if (name == "ro" || name == "readonly" || name == "rw") return set_access(wanted, name, value);
  if (name == "src" || name == "source") {
    wanted.source = value;
  } else if (name == "dst" || name == "destination" || name == "target") {
    wanted.destination = value;
  } else if (name == "bind-propagation") {
    if (!is_one_of(value, kPropagation))
      return fail(Errc::InvalidSpec, "bind-propagation " + quote(value));
    wanted.propagation = value;
  } else if (name == "bind-nonrecursive") {
    wanted.bind = value == "false" ? "rbind" : "bind";
  } else if (name == "tmpfs-size") {
    NX_TRY(const std::uint64_t bytes, parse_bytes(value), "tmpfs-size");
    wanted.options.push_back("size=" + std::to_string(bytes));
  } else if (name == "tmpfs-mode") {
    wanted.options.push_back("mode=" + value);
  } else if (equals == field.npos) {
    return add_word(wanted, name);
  } else {
    return fail(Errc::InvalidSpec, "unknown mount field " + quote(name));
  }
  return {};
}

}  // namespace

Result<oci::Mount> parse_volume(std::string_view text, const std::string& here) {
  const std::string context = "--volume " + quote(text);
  const std::vector<std::string> parts = split(text, ':');
  if (parts.size() == 1 || (!parts[0].starts_with('/') && !parts[0].starts_with('.')))
    return fail(Error(Errc::Unsupported, "named volumes")
                    .wrap(context)
                    .hint("Give a directory of the host: -v /host/dir:/dir, or -v ./dir:/dir."));
  if (parts.size() > 3)
    return fail(Errc::InvalidSpec, context + ": expected HOST:CONTAINER[:OPTIONS]");
  Wanted wanted;
  wanted.source = parts[0];
  wanted.destination = parts[1];
  if (parts.size() == 3)
    for (const std::string& word : split(parts[2], ',')) NX_CHECK(add_word(wanted, word), context);
  NX_TRY(oci::Mount mount, finish(std::move(wanted), here), context);
  return mount;
}

Result<oci::Mount> parse_mount(std::string_view text, const std::string& here) {
  const std::string context = "--mount " + quote(text);
  Wanted wanted;
  wanted.type = "volume";  // what Podman takes when no type is given; set_type replaces it
  for (const std::string& field : split(text, ',')) NX_CHECK(add_field(wanted, field), context);
  if (wanted.type == "volume")
    return fail(
        Error(Errc::Unsupported, "volumes").wrap(context).hint("Say type=bind or type=tmpfs."));
  NX_TRY(oci::Mount mount, finish(std::move(wanted), here), context);
  return mount;
}

}  // namespace nexcage::cli
