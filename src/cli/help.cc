#include "nexcage/cli/help.h"

#include <algorithm>

#include "nexcage/base/text.h"

namespace nexcage::cli {
namespace {

constexpr std::size_t kHelpColumn = 32;

constexpr std::string_view kProgramExamples = R"(
  # import an image and run it
  nexcage image import oci-archive:busybox.tar --name busybox
  nexcage run --rm -it busybox sh
  # run a service, look at it, end it
  nexcage run -d --name web --memory 64m busybox httpd -f
  nexcage logs -f web
  nexcage exec web ps
  nexcage stop web && nexcage delete web
  # the OCI runtime form, as engines call it
  nexcage create --bundle /srv/bundle --pid-file /run/c1.pid c1
  nexcage start c1
)";

/// "-e,--env" -> "  -e, --env NAME=VALUE"; long names are lined up.
std::string option_title(const Option& option) {
  const std::vector<std::string> names = split(option.names, ',');
  std::string title = names.front().starts_with("--") ? "      " : "  ";
  title += join(names, ", ");
  if (!option.value.empty()) title += " " + option.value;
  return title;
}

std::string row(std::string title, std::string_view text) {
  if (title.size() + 2 > kHelpColumn)
    title += "\n" + std::string(kHelpColumn, ' ');
  else
    title.resize(kHelpColumn, ' ');
  return title + std::string(text) + "\n";
}

std::string options_text(const Options& options) {
  std::string text;
  for (const Option& option : options.all())
    if (!option.hidden) text += row(option_title(option), option.help);
  return text;
}

std::string verbs_text(bool image_form, std::string_view group) {
  std::string text;
  for (const VerbEntry& entry : verbs()) {
    const bool in_group = entry.name.starts_with(std::string(group) + " ");
    if (group.empty() ? entry.image_form == image_form : in_group)
      text += row("  " + std::string(entry.name), entry.summary);
  }
  return text;
}

std::string_view without_first_newline(std::string_view text) {
  if (text.starts_with('\n')) text.remove_prefix(1);
  return text;
}

}  // namespace

std::string program_help(const Program& program, const Options& globals) {
  std::string text =
      "Usage: " + program.name + " [GLOBAL OPTIONS] COMMAND [OPTIONS] [ARGUMENTS]\n\n";
  text += "Runs OCI images and bundles as containers.\n";
  if (program.always_oci())
    text +=
        "Called by this name it is an OCI runtime on the backend " + program.fixed_backend + ".\n";
  text += "\nOCI runtime commands:\n" + verbs_text(false, "");
  text += "\nCommands for images and the containers made from them:\n" + verbs_text(true, "");
  text += "\nGlobal options:\n" + options_text(globals);
  text += "\nExamples:\n";
  text += without_first_newline(kProgramExamples);
  return text + "\n" + program.name + " COMMAND --help explains a command.\n";
}

std::string group_help(const Program& program, std::string_view group) {
  std::string text =
      "Usage: " + program.name + " " + std::string(group) + " COMMAND\n\nCommands:\n";
  text += verbs_text(true, group);
  return text + "\n" + program.name + " " + std::string(group) +
         " COMMAND --help explains a command.\n";
}

std::string verb_help(const Program& program, const VerbEntry& entry, const Usage& usage,
                      const Options& options) {
  std::string text;
  for (const std::string& form : split(usage.arguments, '\n')) {
    text += text.empty() ? "Usage: " : "       ";
    text += program.name + " " + std::string(entry.name) + (form.empty() ? "" : " ") + form + "\n";
  }
  text += "\n" + std::string(without_first_newline(usage.description));
  if (!text.ends_with('\n')) text += '\n';
  text += "\nOptions:\n" + options_text(options);
  text += "\nExamples:\n" + std::string(without_first_newline(usage.examples));
  if (!text.ends_with('\n')) text += '\n';
  return text;
}

}  // namespace nexcage::cli
