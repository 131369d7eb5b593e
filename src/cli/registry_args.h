// Options of the verbs that talk to registries, and what they make.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "nexcage/base/error.h"
#include "nexcage/cli/options.h"
#include "nexcage/cli/progress_output.h"
#include "nexcage/registry/files.h"
#include "nexcage/registry/pull.h"

namespace nexcage::cli {

/// How a registry is talked to.
struct RegistryArgs {
  std::optional<bool> tls_verify;
  std::string auth_file, cert_dir;
  bool creds_stdin = false;

  void declare(Options& options);
  /// As the plan takes them; reads "USER:PASSWORD" from standard input when asked to.
  Result<registry::Choices> choices() const;
};

/// How a transfer is shown.
struct ProgressArgs {
  std::string style;
  bool quiet = false;

  void declare(Options& options);
  /// On standard error. InvalidSpec for an unknown style, or one beside --quiet.
  Result<std::unique_ptr<ProgressOutput>> open() const;
};

/// Leads what a transfer tells to the output, which must outlive the watch.
registry::TransferWatch watch(ProgressOutput& output);

}  // namespace nexcage::cli
