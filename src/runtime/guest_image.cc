#include "nexcage/runtime/guest_image.h"

#include <fcntl.h>
#include <unistd.h>

#include "nexcage/base/log.h"
#include "nexcage/base/text.h"
#include "nexcage/layerfs/flatten.h"
#include "nexcage/oci/image.h"
#include "nexcage/runtime/guest_disk.h"
#include "nexcage/runtime/image_spec.h"
#include "nexcage/runtime/pull.h"
#include "nexcage/sys/fs.h"

namespace nexcage::runtime {

namespace {

/// A pull of the layers as they are: they are not mounted here.
Result<image::Image> find_image(const ImageSource& source, const image::Store& store,
                                const Services& with) {
  Services plain = with;
  plain.pull = [&with](const std::string& image, const storage::Choice&) {
    if (with.pull_for_guest) return with.pull_for_guest(image);
    return registry::pull_image(image, {}, transfer_place(with.settings), {});
  };
  NX_TRY(const PullPolicy configured, parse_pull_policy(with.settings.pull_policy), "pull.policy");
  return find_or_pull(source.image, source.pull.value_or(configured), store, {}, plain);
}

layerfs::FlattenJob flatten_job(const image::Image& image, const std::string& images,
                                const std::string& work) {
  layerfs::FlattenJob job;
  job.stack.form = layerfs::ConvertForm::plain;
  job.output = work + "/root.tar.gz";
  job.accounts = work + "/accounts";
  for (std::size_t i = 0; i < image.manifest.layers.size(); ++i) {
    const oci::Descriptor& layer = image.manifest.layers[i];
    job.stack.layers.push_back(
        {.blob_path = images + "/" + layer.digest.blob_path(),
         .compression = oci::layer_compression(layer.media_type).value_or(oci::Compression::none),
         .digest = layer.digest,
         .diff_id = image.config.diff_ids[i],
         .size = layer.size,
         .tar_path = work + "/layers/" + std::to_string(i) + ".tar",
         .tar_is_there = false});
  }
  return job;
}

/// The archive; the layers' tars are gone afterwards.
Result<layerfs::Flattened> make_archive(const layerfs::FlattenJob& job, const std::string& work,
                                        const std::string& libexec) {
  NX_CHECK(sys::remove_tree(work + "/layers"));
  NX_CHECK(sys::remove_tree(job.accounts));
  NX_CHECK(sys::mkdirs(work + "/layers", 0700));
  NX_CHECK(sys::mkdirs(job.accounts, 0700));
  if (!job.output.empty() && ::unlink(job.output.c_str()) != 0 && errno != ENOENT)
    return fail_errno("remove " + job.output);
  auto made = layerfs::flatten(libexec, job);
  NX_CHECK(sys::remove_tree(work + "/layers"));
  return made;
}

std::string os_of(const std::string& accounts) {
  const auto text = sys::read_file(AT_FDCWD, accounts + "/etc/os-release");
  return text ? os_id(*text) : std::string();
}

std::vector<std::string> words_of(const oci::ImageProcess& process) {
  std::vector<std::string> words = process.entrypoint;
  words.insert(words.end(), process.cmd.begin(), process.cmd.end());
  return words;
}

}  // namespace

GuestPlan::~GuestPlan() {
  if (work.empty()) return;
  if (auto gone = sys::remove_tree(work); !gone) log::warning(gone.error().message());
}

std::string os_id(const std::string& os_release) {
  for (const std::string& line : split(os_release, '\n')) {
    if (!line.starts_with("ID=")) continue;
    std::string id = line.substr(3);
    const bool is_quoted =
        id.size() >= 2 && (id.front() == '"' || id.front() == '\'') && id.back() == id.front();
    if (is_quoted) id = id.substr(1, id.size() - 2);
    // opensuse-leap, opensuse-tumbleweed: one to Proxmox VE.
    return id.starts_with("opensuse-") ? "opensuse" : id;
  }
  return {};
}

Result<std::unique_ptr<GuestPlan>> plan_guest_image(const std::string& id,
                                                    const ImageSource& source, Services& with) {
  const Settings& settings = with.settings;
  NX_TRY(const auto store, image::Store::open(settings.images, image::Store::IfMissing::create));
  NX_TRY(const image::Image image, find_image(source, store, with));
  const std::string name = image.names.empty() ? source.image : image.names.front().str();
  NX_TRY(ImageSpec made, spec_from_image(image.config, source, id, name));
  // What the image alone would run: a guest of a release without `entrypoint` runs this.
  ImageSource nothing;
  nothing.image = source.image;
  nothing.hostname = source.hostname;
  auto plan = std::make_unique<GuestPlan>();
  plan->spec = std::move(made.spec);
  plan->work = settings.proxmox.work + "/" + id;
  NX_CHECK(sys::mkdirs(plan->work, 0700));
  backends::GuestImage& guest = plan->image;
  guest.reference = name;
  guest.digest = image.manifest_descriptor.digest.str();
  guest.no_network = source.network.network == "none";
  guest.volumes = std::move(made.volumes);
  guest.args = words_of(image.config.config);
  guest.cwd = image.config.config.working_dir;
  guest.stop_signal = image.config.config.stop_signal;
  if (!guest.args.empty()) {
    NX_TRY(const ImageSpec own, spec_from_image(image.config, nothing, id, name));
    guest.env = own.spec.process->env;
  }
  layerfs::FlattenJob job = flatten_job(image, settings.images, plan->work);
  layerfs::FlattenJob accounts = job;
  accounts.output.clear();
  NX_CHECK(make_archive(accounts, plan->work, settings.libexec), "image " + name);
  NX_TRY(plan->spec.process->user, resolve_user(job.accounts, made.user.text));
  NX_TRY(guest.user, resolve_user(job.accounts, image.config.config.user));
  guest.os = os_of(job.accounts);
  guest.make_archive = [job, work = plan->work, libexec = settings.libexec](
                           const std::vector<backends::GuestImage::Extra>& extras) mutable
      -> Result<backends::GuestImage::Archive> {
    job.extras.clear();
    for (const backends::GuestImage::Extra& extra : extras)
      job.extras.push_back({.path = extra.path,
                            .file = extra.file,
                            .text = extra.text,
                            .link = extra.link,
                            .mode = extra.mode});
    NX_TRY(const layerfs::Flattened archive, make_archive(job, work, libexec));
    return backends::GuestImage::Archive{
        .file = job.output, .sha256 = archive.sha256, .unpacked = archive.unpacked};
  };
  guest.work = plan->work;
  guest.make_disk = [image, id, work = plan->work, &with]() -> Result<backends::GuestImage::Disk> {
    NX_TRY(const auto images,
           image::Store::open(with.settings.images, image::Store::IfMissing::fail));
    return make_guest_disk(images, image, id, work, with);
  };
  return plan;
}

}  // namespace nexcage::runtime
