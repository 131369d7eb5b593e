// libexec/nexcage/image SUBCOMMAND: everything that reads what strangers made. The request comes as
// JSON on descriptor 3, the answer goes as JSON to descriptor 4 (image/helper.h).
#include <fcntl.h>

#include <array>
#include <cstdio>
#include <exception>
#include <new>
#include <string_view>

#include "nexcage/helpers/subcommand.h"
#include "nexcage/image/helper.h"
#include "nexcage/sys/fs.h"

namespace {

using nexcage::Errc;
using nexcage::Result;
namespace json = nexcage::json;

constexpr int kRequestFd = 3;
constexpr int kAnswerFd = 4;
constexpr int kUsage = 2;

struct Subcommand {
  std::string_view name;
  Result<json::Value> (*run)(const json::Value& request);
};
constexpr std::array kSubcommands = {
    Subcommand{"import", nexcage::helpers::run_import},
    Subcommand{"verify", nexcage::helpers::run_verify},
    Subcommand{"save", nexcage::helpers::run_save},
    Subcommand{"load", nexcage::helpers::run_load},
    Subcommand{"check", nexcage::helpers::run_check},
    Subcommand{"unpack", nexcage::helpers::run_unpack},
    Subcommand{"convert", nexcage::helpers::run_convert},
    Subcommand{"flatten", nexcage::helpers::run_flatten},
    Subcommand{"hash", nexcage::helpers::run_hash},
    Subcommand{"pull", nexcage::helpers::run_pull},
    Subcommand{"push", nexcage::helpers::run_push},
    Subcommand{"login", nexcage::helpers::run_login},
    Subcommand{"tags", nexcage::helpers::run_tags},
    Subcommand{"referrers", nexcage::helpers::run_referrers},
};

const Subcommand* find_subcommand(std::string_view name) {
  for (const Subcommand& subcommand : kSubcommands)
    if (subcommand.name == name) return &subcommand;
  return nullptr;
}

Result<json::Value> answer(const Subcommand& subcommand) {
  NX_TRY(std::string text, nexcage::sys::read_all(kRequestFd), "read the request");
  NX_TRY(json::Value request, json::parse(text), "read the request");
  try {
    return subcommand.run(request);
  } catch (const std::bad_alloc&) {
    return nexcage::fail(Errc::OutOfMemory, std::string(subcommand.name));
  }
}

int run(std::string_view name) {
  const Subcommand* subcommand = find_subcommand(name);
  // Descriptors that are not ours to use show that somebody called the helper by hand.
  bool connected = ::fcntl(kRequestFd, F_GETFD) >= 0 && ::fcntl(kAnswerFd, F_GETFD) >= 0;
  if (subcommand == nullptr || !connected) {
    (void)std::fputs("This is a helper of nexcage and not meant to be run by hand.\n", stderr);
    return kUsage;
  }
  Result<json::Value> result = answer(*subcommand);
  json::Object message;
  if (result) {
    message.set("ok", *std::move(result));
  } else {
    message.set("error", nexcage::image::error_to_json(result.error()));
  }
  auto written = nexcage::sys::write_all(kAnswerFd, json::dump(std::move(message)));
  return written ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc == 2 ? argv[1] : "");
  } catch (const std::exception& bug) {
    (void)std::fprintf(stderr, "nexcage image helper: bug: %s\n", bug.what());
    return 1;
  }
}
