// The subcommands of libexec/nexcage/image. Each is a function from a JSON request to a JSON
// answer; image.cc reads the one from descriptor 3 and writes the other, or the error, to
// descriptor 4 (protocol: image/helper.h). Each confines itself (confine.h) before it reads a
// stranger's byte.
#pragma once

#include "nexcage/base/error.h"
#include "nexcage/json/value.h"

namespace nexcage::helpers {

/// Takes a source into the store (image/import.h).
Result<json::Value> run_import(const json::Value& request);
/// Re-hashes the blobs of an image (image/verify.h).
Result<json::Value> run_verify(const json::Value& request);
/// Re-hashes every blob of every image (image/check.h).
Result<json::Value> run_check(const json::Value& request);
/// Writes images of the store as an archive to standard output (image/archive.h).
Result<json::Value> run_save(const json::Value& request);
/// Takes the images of an archive in, from a file or standard input (image/archive.h).
Result<json::Value> run_load(const json::Value& request);
/// Unpacks one layer into a directory (layerfs/layerfs.h, UnpackJob).
Result<json::Value> run_unpack(const json::Value& request);
/// Makes a stack of layers mountable (layerfs/layerfs.h, ConvertJob).
Result<json::Value> run_convert(const json::Value& request);
/// One archive of a stack of layers (layerfs/flatten.h).
Result<json::Value> run_flatten(const json::Value& request);
/// SHA-256 of prepared files (layerfs/hasher.h).
Result<json::Value> run_hash(const json::Value& request);
/// Brings an image from a registry into the staging directory (registry/client/pull.h). Events go
/// to descriptor 5 when it is open.
Result<json::Value> run_pull(const json::Value& request);
/// Brings an image of the store to a registry (registry/client/push.h). Events as for run_pull().
Result<json::Value> run_push(const json::Value& request);
/// Whether the endpoint takes its credential (registry/client/login.h).
Result<json::Value> run_login(const json::Value& request);
/// Tags of a repository, and referrers of a manifest (registry/client/listing.h).
Result<json::Value> run_tags(const json::Value& request);
Result<json::Value> run_referrers(const json::Value& request);

}  // namespace nexcage::helpers
