// nexcage: reads the command line, finds the verb, turns its result into an exit code.
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/log.h"
#include "nexcage/base/text.h"
#include "nexcage/cli/context.h"
#include "nexcage/cli/help.h"
#include "nexcage/cli/output.h"
#include "nexcage/cli/verb.h"

namespace nexcage::cli {
namespace {

/// Shown by --version; Podman prints the first line in `podman info`.
constexpr std::string_view kVersion = "nexcage version " NEXCAGE_VERSION "\nspec: 1.0.2\n";

/// What a careless caller may have left: a closed standard descriptor would become the number of a
/// file that we open, and with SIGCHLD ignored no child could be waited for.
void normalise_process() {
  for (int fd = 0; fd <= STDERR_FILENO; ++fd)
    if (::fcntl(fd, F_GETFD) < 0) (void)!::open("/dev/null", O_RDWR);
  (void)::signal(SIGCHLD, SIG_DFL);
}

int usage_failure(const Program& program) {
  return program.always_oci() ? kOciFailure : kImageFailure;
}

int report(const Error& error, int code) {
  // Whatever file it was that was refused: without privileges the reason is nearly always this one.
  if (error.code() == Errc::PermissionDenied && ::geteuid() != 0)
    log::error(Error(error).hint(
        "nexcage runs as uid " + std::to_string(::geteuid()) +
        " here: images and the backend lxc need root; bundles run without it on crun and runc"));
  else
    log::error(error);
  return code;
}

Result<> open_log(const Globals& globals) {
  log::Settings settings;
  settings.file = globals.log;
  settings.format = globals.log_format == "json" ? log::Format::json : log::Format::text;
  if (globals.debug) settings.minimum = log::Level::debug;
  return log::open(settings);
}

/// Removes the verb's words from the front: one, or two for a group. nullptr with `error` or with
/// nothing set when a group's own help is wanted.
struct Chosen {
  const VerbEntry* entry = nullptr;
  std::string group;
  std::vector<std::string> rest;
};

Result<Chosen> choose_verb(std::vector<std::string> words) {
  std::string name = words.front();
  std::size_t used = 1;
  if (is_verb_group(name)) {
    if (words.size() == 1 || words[1] == "--help" || words[1] == "-h")
      return Chosen{nullptr, name, {}};
    name += " " + words[1];
    used = 2;
  }
  const VerbEntry* entry = find_verb(name);
  if (entry == nullptr) return fail(unknown_verb(name));
  return Chosen{entry, "", {words.begin() + static_cast<std::ptrdiff_t>(used), words.end()}};
}

int run_verb(Context& context, const VerbEntry& entry, std::vector<std::string> words) {
  const std::unique_ptr<Verb> verb = entry.make();
  Options options;
  bool help = false;
  verb->declare(options);
  options.flag("-h,--help", help, "print this help");
  auto rest = parse_options(options, verb->order(), words);
  if (!rest) {
    Error error = std::move(rest).error().wrap(std::string(entry.name));
    const int code = verb->failure_code(error, context, entry.failure);
    return report(std::move(error).hint("See " + context.program().name + " " +
                                        std::string(entry.name) + " --help."),
                  code);
  }
  if (help) {
    if (auto there = verb->available(context); !there)
      return report(std::move(there).error().wrap(std::string(entry.name)), entry.failure);
    print(verb_help(context.program(), entry, verb->usage(), options));
    return 0;
  }
  auto code = verb->run(context, *std::move(rest));
  if (code) return *code;
  Error error = std::move(code).error().wrap(std::string(entry.name));
  return report(error, verb->failure_code(error, context, entry.failure));
}

int run_program(const std::vector<std::string>& arguments) {
  const Program program = Program::from_argv0(arguments.empty() ? "" : arguments[0]);
  // Engines ask for the version often, and alone: answered before any parser is built.
  if (arguments.size() == 2 && (arguments[1] == "--version" || arguments[1] == "-v")) {
    print(kVersion);
    return 0;
  }
  Globals globals;
  Options options;
  globals.declare(options);
  const std::span<const std::string> after_name =
      std::span(arguments).subspan(arguments.empty() ? 0 : 1);
  auto words = parse_options(options, Order::options_first, after_name);
  if (!words) return report(words.error(), usage_failure(program));
  if (auto good = globals.check(); !good) return report(good.error(), usage_failure(program));
  if (auto opened = open_log(globals); !opened)
    return report(opened.error(), usage_failure(program));
  if (globals.version) {
    print(kVersion);
    return 0;
  }
  if (globals.help || words->empty() || words->front() == "help") {
    print(program_help(program, options));
    return globals.help || !words->empty() ? 0 : usage_failure(program);
  }
  auto chosen = choose_verb(*std::move(words));
  if (!chosen) return report(chosen.error(), usage_failure(program));
  if (chosen->entry == nullptr) {
    print(group_help(program, chosen->group));
    return 0;
  }
  Context context(program, std::move(globals));
  return run_verb(context, *chosen->entry, std::move(chosen->rest));
}

}  // namespace
}  // namespace nexcage::cli

int main(int argc, char** argv) {
  using nexcage::Errc;
  using nexcage::Error;
  try {
    nexcage::cli::normalise_process();
    return nexcage::cli::run_program(std::vector<std::string>(argv, argv + argc));
  } catch (const std::bad_alloc&) {
    nexcage::log::error(Error(Errc::OutOfMemory, "out of memory"));
  } catch (const std::exception& error) {
    nexcage::log::error(Error(Errc::Unsupported, std::string("bug: ") + error.what()));
  }
  return nexcage::cli::kOciFailure;
}
