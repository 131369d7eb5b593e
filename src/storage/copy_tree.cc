#include "nexcage/storage/copy_tree.h"

#include <filesystem>
#include <system_error>

#include "nexcage/storage/raw/tool.h"

namespace nexcage::storage {

Result<> copy_tree(const std::string& from, const std::string& to, const std::string& cp) {
  std::error_code error;
  const std::filesystem::path tree = std::filesystem::absolute(from, error);
  if (error) return fail_errno(error.value(), "find the current directory");
  raw::Tool tool;
  // With "-a" it would keep silent about attributes and access control lists that it cannot copy.
  tool.argv = {cp,
               "-dR",
               "--preserve=mode,ownership,timestamps,links,xattr",
               "--sparse=always",
               "--reflink=auto",
               "--one-file-system",
               "--",
               tree / ".",
               "."};
  tool.cwd = to;
  NX_CHECK(raw::run_tool(tool), "copy " + from);
  return {};
}

}  // namespace nexcage::storage
