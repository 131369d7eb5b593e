#include "nexcage/storage/zfs/listing.h"

#include <array>
#include <optional>
#include <utility>

#include "nexcage/base/text.h"

namespace nexcage::storage::zfs {
namespace {

constexpr std::string_view kUnset = "-";

/// The lines of a listing without the end of the last one.
std::vector<std::string> lines_of(std::string_view text) {
  if (text.empty()) return {};
  if (text.ends_with('\n')) text.remove_suffix(1);
  return split(text, '\n');
}

std::unexpected<Error> bad_line(std::string_view what, std::string_view line) {
  return fail(Errc::ZFSError, "the list of " + std::string(what) + " has the line " + quote(line));
}

/// Numbers one after the other; remembers that one was none.
class Numbers {
 public:
  std::uint64_t operator()(const std::string& field) {
    const auto number = parse_u64(field);
    good_ = good_ && number.has_value();
    return number.value_or(0);
  }
  bool good() const { return good_; }

 private:
  bool good_ = true;
};

std::string unless_unset(const std::string& field) { return field == kUnset ? "" : field; }

}  // namespace

Result<std::vector<SnapshotInfo>> parse_snapshots(std::string_view text, const Dataset& of) {
  const std::string before = of.name() + "@";
  std::vector<SnapshotInfo> out;
  for (const std::string& line : lines_of(text)) {
    const std::vector<std::string> fields = split(line, '\t');
    if (fields.size() != 5 || !fields[0].starts_with(before) || fields[0].size() == before.size())
      return bad_line("snapshots", line);
    Numbers number;
    SnapshotInfo info;
    info.label = fields[0].substr(before.size());
    info.created = number(fields[1]);
    info.used = number(fields[2]);
    info.referenced = number(fields[3]);
    info.clones = number(fields[4]);
    if (!number.good()) return bad_line("snapshots", line);
    out.push_back(std::move(info));
  }
  return out;
}

Result<std::vector<DatasetInfo>> parse_datasets(std::string_view text, const Parent& parent,
                                                std::string_view listed) {
  std::vector<DatasetInfo> out;
  for (const std::string& line : lines_of(text)) {
    const std::vector<std::string> fields = split(line, '\t');
    if (fields.size() != 7 || !parent.contains(fields[0])) return bad_line("datasets", line);
    if (fields[0] == listed || fields[0] == parent.name()) continue;
    Numbers number;
    DatasetInfo info;
    info.path = fields[0].substr(parent.name().size() + 1);
    info.is_volume = fields[1] == "volume";
    info.used = number(fields[2]);
    info.available = number(fields[3]);
    info.referenced = number(fields[4]);
    info.mountpoint = unless_unset(fields[5]);
    info.origin = unless_unset(fields[6]);
    if (!number.good()) return bad_line("datasets", line);
    out.push_back(std::move(info));
  }
  return out;
}

Result<PoolInfo> parse_pool(std::string_view text) {
  const std::vector<std::string> lines = lines_of(text);
  const std::vector<std::string> fields =
      lines.size() == 1 ? split(lines[0], '\t') : std::vector<std::string>();
  if (fields.size() != 5) return bad_line("pools", text);
  PoolInfo info{.name = fields[0], .health = fields[1]};
  // A pool whose devices are gone has no sizes.
  const auto number = [](const std::string& field) {
    return parse_u64(field == kUnset ? "0" : field);
  };
  const auto size = number(fields[2]);
  const auto allocated = number(fields[3]);
  const auto free = number(fields[4]);
  if (!size || !allocated || !free) return bad_line("pools", text);
  info.size = *size;
  info.allocated = *allocated;
  info.free = *free;
  return info;
}

Result<std::map<std::string, std::string>> parse_properties(std::string_view text,
                                                            std::span<const std::string> names) {
  std::map<std::string, std::string> out;
  const std::vector<std::string> lines = lines_of(text);
  if (lines.size() != names.size()) return bad_line("properties", text);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::string& line = lines[i];
    if (!line.starts_with(names[i]) || line.size() <= names[i].size() ||
        line[names[i].size()] != '\t')
      return bad_line("properties", line);
    std::string value = line.substr(names[i].size() + 1);
    if (value != kUnset) out[names[i]] = std::move(value);
  }
  return out;
}

Result<Space> parse_space(const std::map<std::string, std::string>& properties) {
  Space space;
  const std::array<std::pair<const char*, std::uint64_t*>, 3> fields = {
      {{"used", &space.used}, {"available", &space.available}, {"quota", &space.quota}}};
  for (const auto& [name, number] : fields) {
    const auto found = properties.find(name);
    const auto value = found == properties.end() ? std::nullopt : parse_u64(found->second);
    if (!value) return fail(Errc::ZFSError, std::string("the property ") + name + " is no number");
    *number = *value;
  }
  return space;
}

}  // namespace nexcage::storage::zfs
