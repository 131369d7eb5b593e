// What the operations share: the channel to the runtime, the descriptors that came with the plan,
// the container's root. Lives as long as the first process.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/sys/plan.h"

namespace nexcage::init {

struct Context {
  UniqueFd channel;  // to whoever is told about failures: nexcage create, then nexcage start
  std::vector<UniqueFd> fds;  // those of the plan, by index
  sys::plan::Plan plan;
  UniqueFd root;            // the container's "/": set by EnterRootfs or JoinNamespaces
  std::string root_path;    // where it lies in the runtime's tree, before the pivot
  UniqueFd terminal;        // slave of the pty, with a terminal
  std::string program;      // what CheckProgram found
  bool cwd_denied = false;  // root may not enter cwd: tried again as the user

  /// The descriptor of this index; InvalidConfig when the runtime did not send it.
  Result<int> fd(std::uint32_t index) const;
  /// A procfs of this pid namespace that is attached nowhere, so that nothing in the container can
  /// stand in its place (CVE-2019-16884 and its family). Made at first use.
  Result<int> procfs();

 private:
  UniqueFd procfs_;
};

/// Executes the plan's process. Returns only with a failure.
Error execute(Context& context);

// One function per operation; apply.cc chooses.
Result<> apply(const sys::plan::NewKeyring& operation, Context& context);
Result<> apply(const sys::plan::EnterTimeNamespace& operation, Context& context);
Result<> apply(const sys::plan::SetUpLink& operation, Context& context);
Result<> apply(const sys::plan::SetHostname& operation, Context& context);
Result<> apply(const sys::plan::SetDomainname& operation, Context& context);
Result<> apply(const sys::plan::EnterRootfs& operation, Context& context);
Result<> apply(const sys::plan::RefuseSymlink& operation, Context& context);
Result<> apply(const sys::plan::MountFilesystem& operation, Context& context);
Result<> apply(const sys::plan::AttachMount& operation, Context& context);
Result<> apply(const sys::plan::ChangeMount& operation, Context& context);
Result<> apply(const sys::plan::MakeDirectory& operation, Context& context);
Result<> apply(const sys::plan::MakeSymlink& operation, Context& context);
Result<> apply(const sys::plan::MakeDevice& operation, Context& context);
Result<> apply(const sys::plan::OpenTerminal& operation, Context& context);
Result<> apply(const sys::plan::WaitForRuntime& operation, Context& context);
Result<> apply(const sys::plan::RunHooks& operation, Context& context);
Result<> apply(const sys::plan::Pivot& operation, Context& context);
Result<> apply(const sys::plan::SetSysctl& operation, Context& context);
Result<> apply(const sys::plan::MaskPath& operation, Context& context);
Result<> apply(const sys::plan::ReadonlyPath& operation, Context& context);
Result<> apply(const sys::plan::FinishRoot& operation, Context& context);
Result<> apply(const sys::plan::JoinNamespaces& operation, Context& context);
Result<> apply(const sys::plan::CheckProgram& operation, Context& context);
Result<> apply(const sys::plan::WaitForStart& operation, Context& context);
Result<> apply(const sys::plan::SetRlimit& operation, Context& context);

/// Copies the tree at `from` into the empty directory `to`: directories, files, symbolic links,
/// modes, owners. For tmpcopyup.
Result<> copy_up(int from, int to);

/// open_tree(OPEN_TREE_CLONE) of what `fd` refers to.
Result<UniqueFd> clone_of(int fd, bool recursive, const std::string& what);
/// Splits "/a/b/c" into the parent opened (made when missing) in-root and the last name.
struct Place {
  UniqueFd parent;
  std::string name;
};
Result<Place> place_in_root(const Context& context, const std::string& target);

}  // namespace nexcage::init
