// The vm backend's entry for the table in registry.cc.
#pragma once

#include <memory>

#include "nexcage/backends/backend.h"

namespace nexcage::backends::vm {

std::unique_ptr<Backend> make_backend(const Setup& setup);

}  // namespace nexcage::backends::vm
