#include "nexcage/cli/criu_args.h"

#include <algorithm>

namespace nexcage::cli {

void CriuArgs::flag(Options& options, const char* name, const char* help) {
  Option& option = given_.emplace_back(Option{name, Kind::flag});
  options.flag(name, option.set, help);
}

void CriuArgs::text(Options& options, const char* name, const char* value, const char* help) {
  Option& option = given_.emplace_back(Option{name, Kind::text});
  options.text(name, value, option.value, help);
}

void CriuArgs::path(Options& options, const char* name, const char* help) {
  Option& option = given_.emplace_back(Option{name, Kind::path});
  options.text(name, "DIR", option.value, help);
}

void CriuArgs::declare_common(Options& options) {
  path(options, "--image-path", "directory of the image files (default: ./checkpoint)");
  path(options, "--work-path", "directory of CRIU's logs and work files");
  flag(options, "--tcp-established", "allow open TCP connections");
  flag(options, "--ext-unix-sk", "allow external unix sockets");
  flag(options, "--shell-job", "allow shell jobs");
  flag(options, "--file-locks", "handle file locks");
  flag(options, "--lazy-pages", "restore memory pages when they are used (userfaultfd)");
  flag(options, "--auto-dedup", "deduplicate memory images");
  text(options, "--manage-cgroups-mode", "MODE", "soft, full or strict");
  text(options, "--empty-ns", "NAMESPACE",
       "make this namespace, but do not restore its properties");
}

void CriuArgs::declare_checkpoint(Options& options) {
  declare_common(options);
  flag(options, "--leave-running", "the container goes on");
  flag(options, "--pre-dump", "write memory only; the container goes on");
  path(options, "--parent-path", "images of an earlier --pre-dump, relative to --image-path");
  // CRIU takes it as it is: a path relative to the images.
  given_.back().kind = Kind::text;
  text(options, "--status-fd", "N", "CRIU writes to this descriptor when lazy pages are ready");
  text(options, "--page-server", "ADDRESS:PORT", "send the pages to this page server");
}

void CriuArgs::declare_restore(Options& options) {
  declare_common(options);
  text(options, "--lsm-profile", "TYPE:NAME", "security profile instead of the one saved");
  text(options, "--lsm-mount-context", "CONTEXT", "security context of mounts");
}

Result<std::vector<std::string>> CriuArgs::words() const {
  std::vector<std::string> words;
  for (const Option& option : given_) {
    if (!given(option.name)) continue;
    words.push_back(option.name);
    if (option.kind == Kind::text) words.push_back(option.value);
    if (option.kind == Kind::path) {
      NX_TRY(words.emplace_back(), absolute_path(option.value));
    }
  }
  return words;
}

bool CriuArgs::given(std::string_view option) const {
  const auto found = std::ranges::find(given_, option, &Option::name);
  return found != given_.end() && (found->set || !found->value.empty());
}

Result<> CriuArgs::check_backend(Context& context) {
  if (!context.program().always_oci()) return {};
  NX_TRY(const runtime::Services services, context.services());
  NX_TRY(const auto backend, services.open_backend(context.program().fixed_backend));
  return backend->check_checkpoint();
}

}  // namespace nexcage::cli
