#include "nexcage/pve/launch.h"

#include <limits>

#include "nexcage/base/base64.h"
#include "nexcage/base/text.h"

namespace nexcage::pve {

namespace {

constexpr std::string_view kFormat = "1";

void put(std::string& out, std::string_view field) {
  out += field;
  out += '\0';
}
void put(std::string& out, std::uint64_t number) { put(out, std::to_string(number)); }

/// Takes fields off the front; `good` is false from the first that is missing on.
struct Fields {
  std::string_view left;
  bool good = true;

  std::string next() {
    const std::size_t end = left.find('\0');
    if (end == std::string_view::npos) {
      good = false;
      return {};
    }
    std::string field(left.substr(0, end));
    left.remove_prefix(end + 1);
    return field;
  }
  std::uint64_t number(std::uint64_t most = std::numeric_limits<std::uint32_t>::max()) {
    const auto value = parse_u64(next());
    if (!value || *value > most) good = false;
    return value.value_or(0);
  }
};

constexpr std::uint64_t kMostWords = 65536;

}  // namespace

bool operator==(const Launch& a, const Launch& b) { return encode(a) == encode(b); }

std::string encode(const Launch& launch) {
  std::string out;
  put(out, kFormat);
  put(out, launch.user.uid);
  put(out, launch.user.gid);
  put(out, launch.user.additional_gids.size());
  for (const gid_t group : launch.user.additional_gids) put(out, group);
  put(out, launch.user.umask ? std::to_string(*launch.user.umask) : std::string());
  put(out, launch.no_new_privileges ? 1U : 0U);
  put(out, static_cast<std::uint64_t>(launch.stop_signal));
  put(out, launch.cwd);
  put(out, launch.args.size());
  for (const std::string& word : launch.args) put(out, word);
  put(out, launch.env.size());
  for (const auto& [place, entry] : launch.env) {
    put(out, place);
    put(out, entry);
  }
  return out;
}

std::string encode_text(const Launch& launch) { return base64_encode(encode(launch)); }

Result<Launch> decode_text(std::string_view text) {
  const auto bytes = base64_decode(text);
  Fields fields{bytes ? std::string_view(*bytes) : std::string_view()};
  Launch launch;
  if (fields.next() != kFormat) fields.good = false;
  launch.user.uid = static_cast<uid_t>(fields.number());
  launch.user.gid = static_cast<gid_t>(fields.number());
  for (auto count = fields.number(kMostWords); count > 0 && fields.good; --count)
    launch.user.additional_gids.push_back(static_cast<gid_t>(fields.number()));
  if (const std::string mask = fields.next(); !mask.empty())
    launch.user.umask = static_cast<mode_t>(parse_u64(mask).value_or(0));
  launch.no_new_privileges = fields.number(1) == 1;
  launch.stop_signal = static_cast<int>(fields.number(64));
  launch.cwd = fields.next();
  for (auto count = fields.number(kMostWords); count > 0 && fields.good; --count)
    launch.args.push_back(fields.next());
  for (auto count = fields.number(kMostWords); count > 0 && fields.good; --count) {
    const auto place = static_cast<unsigned>(fields.number());
    launch.env.emplace_back(place, fields.next());
  }
  if (!fields.good || !fields.left.empty())
    return fail(Errc::InvalidConfig,
                std::string(kLaunchVariable) + ": " + quote(text) + " was not written by nexcage");
  return launch;
}

}  // namespace nexcage::pve
