// What a container made from an image was asked to be, kept beside its record: an update makes its
// spec anew from another image and the same options. Of the network there is nothing here: what is
// asked of it does not change (network::Options).
#pragma once

#include "nexcage/base/error.h"
#include "nexcage/json/value.h"
#include "nexcage/runtime/request.h"

namespace nexcage::runtime {

json::Value to_json(const ImageSource& source);
/// Of a document without them the members have their defaults. InvalidJson for a document that
/// to_json did not make.
Result<ImageSource> source_from_json(const json::Value& value);

}  // namespace nexcage::runtime
