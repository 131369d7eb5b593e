#include <algorithm>
#include <array>

#include "nexcage/base/text.h"
#include "nexcage/cli/verb.h"

namespace nexcage::cli {
namespace {

constexpr bool kImageForm = true;
constexpr std::array<std::string_view, 8> kGroups = {"image",  "layer", "snapshot", "storage",
                                                     "system", "vm",    "config",   "pve"};

constexpr std::array kVerbs = {
    VerbEntry{"create", "create a container from a bundle or an image", &make_create},
    VerbEntry{"run", "create and start a container from a bundle or an image", &make_run},
    VerbEntry{"start", "start a created or a stopped container", &make_start},
    VerbEntry{"state", "print the state of a container as JSON", &make_state},
    VerbEntry{"kill", "send a signal to a container", &make_kill},
    VerbEntry{"delete", "delete a container and everything it made", &make_delete},
    VerbEntry{"exec", "run a further process in a container", &make_exec},
    VerbEntry{"list", "list containers", &make_list},
    VerbEntry{"pause", "freeze all processes of a container", &make_pause},
    VerbEntry{"resume", "thaw a paused container", &make_resume},
    VerbEntry{"ps", "list processes of a container, or containers made from images", &make_ps},
    VerbEntry{"update", "change limits of a running container", &make_update},
    VerbEntry{"events", "print statistics and events of a container", &make_events},
    VerbEntry{"spec", "write a starter config.json", &make_spec},
    VerbEntry{"features", "print what this runtime supports as JSON", &make_features},
    VerbEntry{"checkpoint", "write the state of a running container to files", &make_checkpoint},
    VerbEntry{"restore", "make a container from the files of a checkpoint", &make_restore},
    VerbEntry{"route", "say which backend a container would get, and why", &make_route},
    VerbEntry{"logs", "print what a detached container wrote", &make_logs, kImageFailure,
              kImageForm},
    VerbEntry{"stop", "stop a container, gently first", &make_stop, kImageFailure, kImageForm},
    VerbEntry{"restart", "stop a container and start it again", &make_restart, kImageFailure,
              kImageForm},
    VerbEntry{"wait", "wait for the end of a detached container", &make_wait, kImageFailure,
              kImageForm},
    VerbEntry{"login", "log in to a registry", &make_login, kImageFailure, kImageForm},
    VerbEntry{"logout", "forget the credentials of a registry", &make_logout, kImageFailure,
              kImageForm},
    VerbEntry{"pull", "bring an image from its registry into the store", &make_pull, kImageFailure,
              kImageForm},
    VerbEntry{"push", "bring an image of the store into a registry", &make_push, kImageFailure,
              kImageForm},
    VerbEntry{"image import", "bring an image into the store", &make_image_import, kImageFailure,
              kImageForm},
    VerbEntry{"image load", "take in every image of an archive", &make_image_load, kImageFailure,
              kImageForm},
    VerbEntry{"image save", "write images as an archive", &make_image_save, kImageFailure,
              kImageForm},
    VerbEntry{"image list", "list images", &make_image_list, kImageFailure, kImageForm},
    VerbEntry{"image inspect", "print an image's documents as JSON", &make_image_inspect,
              kImageFailure, kImageForm},
    VerbEntry{"image remove", "remove an image or one of its names", &make_image_remove,
              kImageFailure, kImageForm},
    VerbEntry{"image tag", "give an image a further name", &make_image_tag, kImageFailure,
              kImageForm},
    VerbEntry{"image verify", "check every byte of an image", &make_image_verify, kImageFailure,
              kImageForm},
    VerbEntry{"layer list", "list what is prepared of images", &make_layer_list, kImageFailure,
              kImageForm},
    VerbEntry{"layer tree", "show which layer lies on which", &make_layer_tree, kImageFailure,
              kImageForm},
    VerbEntry{"layer stats", "sum up what is prepared of images", &make_layer_stats, kImageFailure,
              kImageForm},
    VerbEntry{"layer verify", "check every byte of prepared layers", &make_layer_verify,
              kImageFailure, kImageForm},
    VerbEntry{"layer merge", "make images ready to be mounted", &make_layer_merge, kImageFailure,
              kImageForm},
    VerbEntry{"layer gc", "remove prepared layers of no image", &make_layer_gc, kImageFailure,
              kImageForm},
    VerbEntry{"snapshot create", "keep the present files of a container", &make_snapshot_create,
              kImageFailure, kImageForm},
    VerbEntry{"snapshot list", "list the snapshots of a container", &make_snapshot_list,
              kImageFailure, kImageForm},
    VerbEntry{"snapshot rollback", "go back to a snapshot of a container", &make_snapshot_rollback,
              kImageFailure, kImageForm},
    VerbEntry{"snapshot delete", "delete snapshots of a container", &make_snapshot_delete,
              kImageFailure, kImageForm},
    VerbEntry{"pve doctor", "say whether guests can be made on the Proxmox VE cluster",
              &make_pve_doctor, kImageFailure, kImageForm},
    VerbEntry{"pve list", "list the guests of the whole cluster", &make_pve_list, kImageFailure,
              kImageForm},
    VerbEntry{"pve templates", "list or remove what images have become on the cluster",
              &make_pve_templates, kImageFailure, kImageForm},
    VerbEntry{"storage list", "list where containers can have their files", &make_storage_list,
              kImageFailure, kImageForm},
    VerbEntry{"storage explain", "say which storage a container would get, and why",
              &make_storage_explain, kImageFailure, kImageForm},
    VerbEntry{"storage resize", "make the root file system of a container larger",
              &make_storage_resize, kImageFailure, kImageForm},
    VerbEntry{"system check", "check the whole store, and repair it", &make_system_check,
              kImageFailure, kImageForm},
    VerbEntry{"system gc", "remove what belongs to no image", &make_system_gc, kImageFailure,
              kImageForm},
    VerbEntry{"vm setup", "prepare the kernel that virtual machines boot", &make_vm_setup,
              kImageFailure, kImageForm},
    VerbEntry{"config show", "print the configuration in effect", &make_config_show, kImageFailure,
              kImageForm},
};

}  // namespace

std::span<const VerbEntry> verbs() { return kVerbs; }

const VerbEntry* find_verb(std::string_view name) {
  const auto found = std::ranges::find(kVerbs, name, &VerbEntry::name);
  return found == kVerbs.end() ? nullptr : &*found;
}

bool is_verb_group(std::string_view name) {
  return std::ranges::find(kGroups, name) != kGroups.end();
}

Error unknown_verb(std::string_view word) {
  Error error(Errc::InvalidSpec, "unknown command " + quote(word));
  std::vector<std::string> names(kGroups.begin(), kGroups.end());
  for (const VerbEntry& entry : kVerbs) names.emplace_back(entry.name);
  if (const auto near = closest(word, names))
    return std::move(error).hint("Did you mean " + *near + "?");
  return std::move(error).hint("See nexcage --help for the list of commands.");
}

int Verb::failure_code(const Error& /*error*/, const Context& /*context*/, int usual) const {
  return usual;
}

Result<> expect_words(std::span<const std::string> words, std::size_t least, std::size_t most,
                      std::string_view what) {
  if (words.size() < least)
    return fail(Errc::InvalidSpec, "missing argument, expected " + std::string(what));
  if (words.size() > most)
    return fail(Errc::InvalidSpec,
                "unexpected argument " + quote(words[most]) + ", expected " + std::string(what));
  return {};
}

}  // namespace nexcage::cli
