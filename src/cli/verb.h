// A verb of the command line: what it accepts, what it does, which exit code its failures have.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/cli/context.h"
#include "nexcage/cli/options.h"

namespace nexcage::cli {

/// What --help says of a verb besides its options.
struct Usage {
  std::string_view arguments;    // one line per form: "[OPTIONS] ID [SIGNAL]"
  std::string_view description;  // sentences, wrapped by hand at 80 columns
  std::string_view examples;     // lines, each a command or a comment
};

class Verb {
 public:
  virtual ~Verb() = default;
  virtual Usage usage() const = 0;
  /// Declares the options; their targets are members of the verb.
  virtual void declare(Options& options) = 0;
  virtual Order order() const { return Order::anywhere; }
  /// Whether a name that fixes the backend has the verb at all. Asked before --help is answered:
  /// engines try "checkpoint --help" to learn what a runtime can.
  virtual Result<> available(Context& /*context*/) const { return {}; }
  /// Does it, with the words that are no options. Returns the exit code of a success (which may be
  /// the container's own).
  virtual Result<int> run(Context& context, std::vector<std::string> words) = 0;
  /// The exit code of a failure; `usual` is the verb's own in the table of verbs.
  virtual int failure_code(const Error& error, const Context& context, int usual) const;
};

/// One row of the table of verbs.
struct VerbEntry {
  std::string_view name;     // "state", or "image import" for a verb of a group
  std::string_view summary;  // one line for the list
  std::unique_ptr<Verb> (*make)();
  int failure = kOciFailure;  // exit code of failures
  bool image_form = false;    // shown among the verbs for images and people
};

/// All verbs, in the order of --help.
std::span<const VerbEntry> verbs();
/// nullptr when there is none of this name.
const VerbEntry* find_verb(std::string_view name);
/// True for "image", "layer", "system" and "config": names whose verb is the word after them.
bool is_verb_group(std::string_view name);
/// InvalidSpec for a word that is no verb, with a suggestion.
Error unknown_verb(std::string_view word);

/// InvalidSpec unless the number of words is in the range; names the usage.
Result<> expect_words(std::span<const std::string> words, std::size_t least, std::size_t most,
                      std::string_view what);

// One factory per verb, each in the file of the verb's name.
std::unique_ptr<Verb> make_create();
std::unique_ptr<Verb> make_run();
std::unique_ptr<Verb> make_start();
std::unique_ptr<Verb> make_state();
std::unique_ptr<Verb> make_kill();
std::unique_ptr<Verb> make_delete();
std::unique_ptr<Verb> make_exec();
std::unique_ptr<Verb> make_list();
std::unique_ptr<Verb> make_pause();
std::unique_ptr<Verb> make_resume();
std::unique_ptr<Verb> make_ps();
std::unique_ptr<Verb> make_update();
std::unique_ptr<Verb> make_events();
std::unique_ptr<Verb> make_spec();
std::unique_ptr<Verb> make_features();
std::unique_ptr<Verb> make_route();
std::unique_ptr<Verb> make_checkpoint();
std::unique_ptr<Verb> make_restore();
std::unique_ptr<Verb> make_logs();
std::unique_ptr<Verb> make_stop();
std::unique_ptr<Verb> make_restart();
std::unique_ptr<Verb> make_wait();
std::unique_ptr<Verb> make_login();
std::unique_ptr<Verb> make_logout();
std::unique_ptr<Verb> make_pull();
std::unique_ptr<Verb> make_push();
std::unique_ptr<Verb> make_image_import();
std::unique_ptr<Verb> make_image_list();
std::unique_ptr<Verb> make_image_load();
std::unique_ptr<Verb> make_image_save();
std::unique_ptr<Verb> make_image_inspect();
std::unique_ptr<Verb> make_image_remove();
std::unique_ptr<Verb> make_image_tag();
std::unique_ptr<Verb> make_image_verify();
std::unique_ptr<Verb> make_layer_list();
std::unique_ptr<Verb> make_layer_tree();
std::unique_ptr<Verb> make_layer_stats();
std::unique_ptr<Verb> make_layer_verify();
std::unique_ptr<Verb> make_layer_merge();
std::unique_ptr<Verb> make_layer_gc();
std::unique_ptr<Verb> make_snapshot_create();
std::unique_ptr<Verb> make_snapshot_list();
std::unique_ptr<Verb> make_snapshot_rollback();
std::unique_ptr<Verb> make_snapshot_delete();
std::unique_ptr<Verb> make_pve_doctor();
std::unique_ptr<Verb> make_pve_list();
std::unique_ptr<Verb> make_pve_templates();
std::unique_ptr<Verb> make_storage_list();
std::unique_ptr<Verb> make_storage_explain();
std::unique_ptr<Verb> make_storage_resize();
std::unique_ptr<Verb> make_system_check();
std::unique_ptr<Verb> make_system_gc();
std::unique_ptr<Verb> make_vm_setup();
std::unique_ptr<Verb> make_config_show();

}  // namespace nexcage::cli
