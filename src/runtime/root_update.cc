#include "nexcage/runtime/root_update.h"

#include <fcntl.h>

#include <chrono>
#include <utility>

#include "nexcage/base/testpoint.h"
#include "nexcage/image/store.h"
#include "nexcage/runtime/kept.h"
#include "nexcage/runtime/kept_request.h"
#include "nexcage/runtime/monitor.h"
#include "nexcage/runtime/paths.h"
#include "nexcage/runtime/remove.h"
#include "nexcage/runtime/restart.h"
#include "nexcage/runtime/state_file.h"

namespace nexcage::runtime {
namespace {

using backends::Record;
using oci::Status;

/// Two updates exclude each other, and an update a creation, a start and a removal.
Result<FileUndoLog> reserve(const std::string& name, const std::string& id, const Services& with) {
  auto log = FileUndoLog::create(Paths(with.settings).undo_dir(), name);
  if (!log && log.error().code() == Errc::ContainerExists)
    return fail(Errc::InvalidState, "another command is changing container " + id);
  return log;
}

Result<> check_state(const Record& record, const Settings& settings) {
  switch (record.state.status) {
    case Status::stopped:
      return check_can_start_again(record, settings);
    case Status::running:
    case Status::paused:
      return {};
    default:
      return fail(Error(Errc::InvalidState, "container " + record.state.id + " is " +
                                                std::string(oci::status_name(record.state.status)))
                      .hint("start it, or stop it, first"));
  }
}

Result<> check_form(const Record& record, const Services& with) {
  const std::string& id = record.state.id;
  if (!is_image_form(record, with.settings))
    return fail(Error(Errc::Unsupported, "container " + id +
                                             " was made from a bundle, whose root file system is "
                                             "not nexcage's to replace")
                    .hint("change the bundle, and create the container anew"));
  NX_TRY(const auto backend, with.open_backend(record.backend));
  if (backend->root_form() == backends::RootForm::disks)
    return fail(Error(Errc::Unsupported,
                      "container " + id + ": the backend " + record.backend +
                          " gives the root file system to its machine as disks, which are not "
                          "exchanged; only roots that the host mounts are")
                    .hint("make a new container from the image, with mounts for its data"));
  NX_TRY(const Request request, read_request(record.state.bundle));
  if (request.remove_ended)
    return fail(Error(Errc::InvalidState, "container " + id + " goes when it is stopped (--rm)")
                    .hint("run it anew from the image"));
  return {};
}

/// state.json of the container with another spec, and nothing of it running.
Result<std::string> ended_state(Record record, const std::string& config) {
  NX_TRY(const json::Value document, json::parse(config));
  NX_TRY(const oci::Spec spec, oci::parse_spec(document));
  record.state.annotations = spec.annotations;
  record.terminal = spec.process && spec.process->terminal;
  return ended_text(std::move(record));
}

Result<> check_image(const Generation& earlier, const Settings& settings) {
  NX_TRY(const auto store, image::Store::open(settings.images, image::Store::IfMissing::create));
  NX_CHECK(store.resolve(earlier.digest), "image " + earlier.image + " of the earlier root");
  return {};
}

}  // namespace

Result<RootUpdate> RootUpdate::hold(const std::string& id, Services& with) {
  NX_CHECK(oci::check_container_id(id));
  NX_TRY(FileUndoLog whole, reserve(id + "@update", id, with));
  NX_TRY(FileUndoLog log, reserve(id, id, with));
  NX_TRY(const Record record, find(id, with));
  NX_CHECK(check_form(record, with));
  NX_CHECK(check_state(record, with.settings));
  RootUpdate update(id, std::move(whole), std::move(log));
  update.running_ = record.state.status != Status::stopped;
  // Without it the container could not be started again.
  if (update.running_) NX_CHECK(find_conmon(with.settings.conmon));
  update.bundle_ = record.state.bundle;
  update.state_dir_ = record.state_dir;
  // What an update left that was cut short when the machine went down.
  NX_CHECK(remove_discarded(update.bundle_));
  NX_TRY(update.generations_, load_generations(update.bundle_));
  NX_CHECK(update.begin());
  return update;
}

Result<> RootUpdate::begin() {
  NX_CHECK(log_.will_exchange(bundle_));
  NX_TRY(begun_, log_.position());
  return {};
}

Result<RootUpdate> RootUpdate::to_image(const std::string& id, const std::string& image,
                                        unsigned keep, Services& with) {
  NX_TRY(RootUpdate update, hold(id, with));
  const unsigned number = update.generations_.last + 1;
  NX_TRY(update.new_root_, make_root(id, image, number, update.log_, with));
  update.files_ = update.new_root_->files;
  update.keep_ = keep;
  return update;
}

Result<RootUpdate> RootUpdate::to_earlier(const std::string& id, Services& with) {
  NX_TRY(RootUpdate update, hold(id, with));
  if (update.generations_.earlier.empty())
    return fail(Error(Errc::InvalidState, "no earlier root of container " + id + " is kept")
                    .hint("`nexcage update ID --image REF` keeps one"));
  const Generation& earlier = update.generations_.earlier.front();
  NX_CHECK(check_image(earlier, with.settings));
  update.files_ = {.config = earlier.config, .request = earlier.request, .info = earlier.info};
  return update;
}

/// Nothing is left of its run when this returns.
Result<> RootUpdate::end_former(Services& with) {
  NX_TRY(const Record record, find(id_, with));
  if (record.state.status != Status::stopped)
    return fail(Errc::InvalidState, "container " + id_ + " is running");
  NX_CHECK(await_monitor(bundle_));
  NX_TRY(const Kept kept, load_kept(id_, with.settings));
  NX_TRY(FileUndoLog log, reserve(id_ + "@former", id_, with));
  NX_CHECK(take_down(log, record, kept, with), "take the former run away");
  return log.commit();
}

/// In the order in which they are written.
Result<std::vector<FileText>> RootUpdate::present(const Settings& settings) const {
  const std::string info = Paths(settings).info_dir(id_) + "/info.json";
  std::vector<FileText> files;
  for (const std::string& path :
       {bundle_ + "/generations.json", bundle_ + "/config.json", bundle_ + "/request.json", info,
        state_dir_ + "/config.json", state_dir_ + "/state.json"}) {
    NX_TRY(FileText file, read_file_text(path, path == info ? 0644 : 0600));
    files.push_back(std::move(file));
  }
  return files;
}

/// The same files for the other root.
Result<std::vector<FileText>> RootUpdate::planned(Services& with) {
  const std::string info = Paths(with.settings).info_dir(id_) + "/info.json";
  NX_TRY(const Record record, find(id_, with));
  NX_TRY(std::string state, ended_state(record, files_.config));
  NX_TRY(Generation current, read_generation(bundle_, info, generations_.current));
  const Generations all = new_root_
                              ? with_newer(generations_, std::move(current), new_root_->number)
                              : with_earlier(generations_, std::move(current));
  std::vector<FileText> files = before_;
  const std::vector<std::string> texts = {generations_text(all), files_.config, files_.request,
                                          files_.info,           files_.config, std::move(state)};
  for (std::size_t i = 0; i < files.size(); ++i) files[i].text = texts[i];
  return files;
}

Result<> RootUpdate::write(const std::vector<FileText>& before,
                           const std::vector<FileText>& after) {
  Exchange exchange{.before = before, .volume = {}, .generation = 1};
  if (new_root_) {
    exchange.volume = new_root_->volume;
    exchange.generation = new_root_->number;
  }
  NX_CHECK(begin_exchange(bundle_, exchange));
  // From here on the journal alone says what there is to take back.
  NX_CHECK(log_.forget_since(begun_));
  testpoint("update-noted");
  NX_CHECK(write_file_texts(after));
  testpoint("update-exchanged");
  NX_CHECK(commit_exchange(bundle_));
  testpoint("update-committed");
  return log_.commit();
}

Result<> RootUpdate::do_exchange(Services& with) {
  NX_TRY(const Record record, find(id_, with));
  // Snapshots, their roll-back and a change of size are of the one root or of the other.
  NX_TRY(const sys::FileLock alone, lock_container(record));
  NX_CHECK(end_former(with));
  testpoint("update-down");
  if (new_root_) {
    NX_CHECK(carry_volumes(*new_root_, id_, with));
    NX_CHECK(let_go(*new_root_, id_, with.settings));
  }
  testpoint("update-ready");
  NX_TRY(before_, present(with.settings));
  NX_TRY(const auto after, planned(with));
  return write(before_, after);
}

Result<> RootUpdate::exchange(Services& with) {
  auto done = do_exchange(with);
  if (done) return done;
  Error error = std::move(done).error();
  // Now, not at the end of this object: the caller starts the container again.
  if (auto undone = log_.roll_back(); !undone)
    error = std::move(error).also(std::move(undone).error());
  return fail(std::move(error));
}

Result<> RootUpdate::take_back(Services& with) {
  NX_TRY(log_, reserve(id_, id_, with));
  NX_CHECK(begin());
  NX_CHECK(end_former(with));
  NX_TRY(const std::vector<FileText> now, present(with.settings));
  std::vector<FileText> then = before_;
  if (new_root_) {
    const std::string info = Paths(with.settings).info_dir(id_) + "/info.json";
    NX_TRY(Generation current, read_generation(bundle_, info, new_root_->number));
    then.front().text = generations_text(taken_back(generations_, std::move(current)));
    NX_CHECK(whole_.will_discard(id_, bundle_));
    new_root_.reset();
  }
  return write(now, then);
}

Result<> RootUpdate::drop_surplus(const Services& with) {
  NX_TRY(FileUndoLog log, reserve(id_, id_, with));
  NX_TRY(Generations all, load_generations(bundle_));
  all = new_root_ ? without_surplus(std::move(all), keep_)
                  : without(std::move(all), generations_.current);
  if (all.discarded.empty()) return log.commit();
  NX_CHECK(whole_.will_discard(id_, bundle_));
  NX_CHECK(save_generations(bundle_, all));
  return log.commit();
}

Result<> RootUpdate::finish() { return whole_.roll_back(); }

}  // namespace nexcage::runtime
