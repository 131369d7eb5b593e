// Backends that hand containers on to another OCI runtime's binary: entries for the table in
// registry.cc. The binary makes, starts and removes containers in its own state directory,
// {root}/@NAME; we keep what is needed to find them again and answer state and kill ourselves.
#pragma once

#include <memory>

#include "nexcage/backends/backend.h"

namespace nexcage::backends::oci_runtime {

std::unique_ptr<Backend> make_crun(const Setup& setup);
std::unique_ptr<Backend> make_runc(const Setup& setup);

}  // namespace nexcage::backends::oci_runtime
