"""What the product makes of an OCI archive: the root file system, and settings that replace the caller's."""
import gzip
import io
import json
import shlex
import tarfile


def blob(data, digest):
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return tar.extractfile("blobs/" + digest.replace(":", "/")).read()


def unpack(members, data, cluster):
    """The files of the image, and the keys it writes into the configuration."""
    index = json.loads(members["/index.json"][1])
    manifest = json.loads(blob(data, index["manifests"][0]["digest"]))
    image = json.loads(blob(data, manifest["config"]["digest"])).get("config", {})
    files = {}
    for layer in manifest["layers"]:
        content = blob(data, layer["digest"])
        if layer["mediaType"].endswith("gzip"):
            content = gzip.decompress(content)
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            for member in tar:
                files["/" + member.name.removeprefix("./").strip("/")] = (
                    member, tar.extractfile(member).read() if member.isreg() else b"")
    return files, settings(image, files, cluster)


def settings(image, files, cluster):
    words = [*(image.get("Entrypoint") or []), *(image.get("Cmd") or [])]
    found, lxc = {}, []
    if words and words[0] != "/sbin/init":
        found["entrypoint"] = " ".join(shlex.quote(word) for word in words)
        found["cmode"] = "console"
    if image.get("Env"):
        found["env"] = "\0".join(image["Env"])
    user = image.get("User", "")
    if user and cluster.at_least("9.2"):
        uid, gid, groups = identity(user, files)
        lxc += [["lxc.init.uid", uid], ["lxc.init.gid", gid]] if uid else []
        lxc += [["lxc.init.groups", groups]] if groups else []
    if image.get("WorkingDir"):
        lxc.append(["lxc.init.cwd", image["WorkingDir"]])
    if words:
        lxc.append(["lxc.signal.halt", image.get("StopSignal", "SIGTERM")])
    if lxc:
        found["lxc"] = lxc
    return found


def identity(user, files):
    """An unknown name gives nothing: the process runs as root then, as with the product."""
    rows = [line.split(":") for line in files.get("/etc/passwd", (None, b""))[1].decode().splitlines()]
    name, _, group = user.partition(":")
    row = next((row for row in rows if name in (row[0], row[2])), None)
    if row is None:
        return (name, group or "0", "") if name.isdigit() else ("", "", "")
    groups = [line.split(":") for line in files.get("/etc/group", (None, b""))[1].decode().splitlines()]
    return row[2], group or row[3], ",".join(one[2] for one in groups if row[0] in one[3].split(","))
