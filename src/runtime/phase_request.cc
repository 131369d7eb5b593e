// Phase 1: options and bundle. Everything that can be refused without touching anything is refused
// here; then the id is reserved.
#include <fcntl.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>

#include "nexcage/base/log.h"
#include "nexcage/base/text.h"
#include "nexcage/network/network.h"
#include "nexcage/runtime/guests.h"
#include "nexcage/runtime/network_spec.h"
#include "nexcage/runtime/paths.h"
#include "nexcage/runtime/phases.h"
#include "nexcage/runtime/pull.h"
#include "nexcage/sys/fs.h"

namespace nexcage::runtime {
namespace {

Result<std::string> absolute_dir(const std::string& path) {
  std::array<char, PATH_MAX> buffer{};
  if (realpath(path.c_str(), buffer.data()) == nullptr)
    return fail(Error::from_errno(Errc::BundleNotFound, errno, "bundle " + quote(path))
                    .hint("--bundle names a directory with config.json and the root file system"));
  return std::string(buffer.data());
}

struct ReadSpec {
  std::string file, text;
  oci::Spec spec;
};

Result<ReadSpec> read_spec(const BundleSource& source, const Settings& settings) {
  std::string file =
      source.config_file.empty() ? source.bundle + "/config.json" : source.config_file;
  auto text = sys::read_file(AT_FDCWD, file, json::Limits{}.max_bytes);
  if (!text) {
    const bool missing = text.error().sys_errno() == ENOENT;
    Error error = std::move(text).error().wrap("spec of the bundle");
    if (missing)
      return fail(std::move(error).as(Errc::BundleNotFound).hint("`nexcage spec` writes one"));
    return fail(std::move(error));
  }
  NX_TRY(json::Value document, json::parse(*text), "parse " + file);
  NX_TRY(oci::Spec spec, oci::parse_spec(document, {settings.strict_oci_version}));
  return ReadSpec{std::move(file), *std::move(text), std::move(spec)};
}

/// What creation needs beyond a valid document.
Result<> check_spec(const oci::Spec& spec) {
  if (!spec.process) return fail(Errc::InvalidSpec, "/process: is required to create a container");
  if (spec.process->args.empty())
    return fail(Errc::InvalidSpec, "/process/args: must not be empty");
  if (!spec.root || spec.root->path.empty())
    return fail(Errc::InvalidSpec, "/root/path: is required to create a container");
  if (!spec.linux_) return fail(Errc::InvalidSpec, "/linux: is required on this platform");
  return {};
}

/// The same words that runc has for the two ways to get this wrong; engines show them to users.
Result<> check_terminal(const Request& request, bool terminal) {
  if (terminal && !request.console_socket && !request.keep_master)
    return fail(
        Error(Errc::InvalidSpec,
              "cannot allocate a terminal for a detached container without a console socket")
            .hint("give --console-socket, or set process.terminal to false"));
  if (!terminal && request.console_socket)
    return fail(Errc::InvalidSpec,
                "a console socket is given, but the container's process has no terminal");
  return {};
}

std::string choose_backend(const Request& request, const oci::StringMap& annotations,
                           const Settings& settings) {
  RouteQuery query{request.backend, annotations, request.id, {}};
  if (const auto* image = std::get_if<ImageSource>(&request.source)) query.image = image->image;
  Route found = route(query, settings.rules, settings.default_backend);
  log::debug("backend " + found.backend + ": " + found.steps.back());
  return std::move(found.backend);
}

Result<> refuse_duplicate(const std::string& id, const Settings& settings, bool image_form) {
  const Paths paths(settings);
  NX_TRY(bool has_state, sys::exists(AT_FDCWD, paths.state_dir(id)));
  bool has_bundle = false;
  if (image_form) {
    NX_TRY(has_bundle, sys::exists(AT_FDCWD, paths.bundle(id)));
  }
  if (!has_state && !has_bundle && !is_guest(id, settings)) return {};
  return fail(Error(Errc::ContainerExists, "container with id " + id + " exists already")
                  .hint("choose another id, or remove it with `nexcage delete " + id + "`"));
}

Result<Checked> check_bundle(const Request& request, const BundleSource& source, Services& with) {
  BundleSource resolved = source;
  NX_TRY(resolved.bundle, absolute_dir(source.bundle));
  NX_TRY(ReadSpec read, read_spec(resolved, with.settings));
  oci::Spec& spec = read.spec;
  NX_CHECK(check_spec(spec));
  NX_CHECK(check_terminal(request, spec.process->terminal));
  NX_TRY(storage::Choice storage,
         storage::select(spec, storage_defaults(with.settings), storage::Form::bundle));
  std::string backend = choose_backend(request, spec.annotations, with.settings);
  NX_TRY(FileUndoLog undo, FileUndoLog::create(Paths(with.settings).undo_dir(), request.id));
  return Checked{&request,
                 std::move(undo),
                 std::move(resolved.bundle),
                 std::move(backend),
                 std::move(storage),
                 std::move(spec),
                 nullptr,
                 {},
                 {},
                 std::move(read.file),
                 std::move(read.text)};
}

Result<Checked> check_image(const Request& request, const ImageSource& source, Services& with) {
  oci::Spec asked;
  asked.annotations = source.annotations;
  asked.mounts = source.mounts;
  NX_CHECK(check_terminal(request, source.terminal));
  NX_TRY(storage::Choice storage,
         storage::select(asked, storage_defaults(with.settings), storage::Form::image));
  std::string backend = choose_backend(request, source.annotations, with.settings);
  const Paths paths(with.settings);
  network::Options network = source.network;
  if (network.network.empty()) network.network = with.settings.network;
  NX_TRY(network::Wanted wanted, network::parse_options(network, with.settings.network));
  NX_CHECK(network::check(wanted, network_config(with.settings)));
  // The bundle's name: the container's own name is taken by the command that creates it, which
  // under a monitor is another process.
  NX_TRY(FileUndoLog undo, FileUndoLog::create(paths.undo_dir(), request.id + "@bundle"));
  return Checked{&request,
                 std::move(undo),
                 paths.bundle(request.id),
                 std::move(backend),
                 std::move(storage),
                 std::move(asked),
                 &source,
                 std::move(network),
                 std::move(wanted),
                 {},
                 {}};
}

}  // namespace

Result<Checked> check_request(const Request& request, Services& with) {
  NX_CHECK(oci::check_container_id(request.id));
  const auto* image = std::get_if<ImageSource>(&request.source);
  NX_CHECK(refuse_duplicate(request.id, with.settings, image != nullptr));
  NX_TRY(Checked checked,
         image != nullptr ? check_image(request, *image, with)
                          : check_bundle(request, std::get<BundleSource>(request.source), with));
  // Again, now that the id is ours: another command may have finished in between.
  NX_CHECK(refuse_duplicate(request.id, with.settings, image != nullptr));
  // Before anything is made: a backend that cannot work here must not cost a roll-back.
  NX_TRY(auto backend, with.open_backend(checked.backend));
  // Only a rule or the default can have sent a bundle there: what is made from images is a guest.
  if (backend->keeps_guests())
    return fail(Error(Errc::Unsupported,
                      "backend " + checked.backend + ": a guest cannot be made from a bundle")
                    .hint("a rule or runtime.default has chosen it: `nexcage route`; --runtime "
                          "chooses another one"));
  const bool user_network = checked.network && checked.network->mode == network::Mode::user;
  if (user_network && backend->root_form() != backends::RootForm::disks)
    return fail(Errc::Unsupported, "--network user: the backend " + checked.backend +
                                       " makes no virtual machines, which alone have it");
  NX_CHECK(backend->probe());
  return checked;
}

Result<oci::Spec> read_bundle_spec(const BundleSource& source, const Settings& settings) {
  BundleSource resolved = source;
  NX_TRY(resolved.bundle, absolute_dir(source.bundle));
  NX_TRY(ReadSpec read, read_spec(resolved, settings));
  return std::move(read.spec);
}

}  // namespace nexcage::runtime
