#!/usr/bin/env bash
# zfs.sh CACHE KERNEL: builds the modules of ZFS for the kernel in KERNEL, which is what kernel.sh CACHE has printed,
# once for each version of the packages, and prints CACHE/zfs-.../: lib/modules/ is the kernel's with them added,
# root/ has the programs and their libraries. Nothing is installed, and apt's lists stay as they are: Debian's
# section contrib, where ZFS is, has lists of its own in CACHE/contrib.
set -euo pipefail
umask 022
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
programs=(zfs zpool mount.zfs zstream)
libraries=(libzfs libzfs_core libnvpair libuutil)

die() {
  echo "zfs.sh: $*" >&2
  exit 1
}

cache=$(readlink -f "$1")
kernel=$(readlink -f "$2")
release=$(basename "$kernel"/lib/modules/*)
version=${kernel##*/"linux-image-$release-"}
version=${version%-*} # after it comes kernel.sh's hash

apt=$cache/contrib
contrib=(-o "Dir::Etc::SourceList=$apt/sources.list" -o "Dir::Etc::SourceParts=/dev/null" -o "Dir::State::Lists=$apt/lists"
  -o "Dir::Cache::pkgcache=" -o "Dir::Cache::srcpkgcache=" -o "Acquire::Languages=none")

# update: reads contrib anew from the archives that the host has its Debian from, in whatever format it lists them.
update() {
  mkdir -p "$apt/lists/partial"
  # shellcheck disable=SC2016 # apt fills these in
  apt-get indextargets --format '$(ORIGIN) $(COMPONENT) $(REPO_URI) $(RELEASE)' 'Created-By: Packages' |
    awk '$1 == "Debian" && $2 == "main" {print "deb", $3, $4, "contrib"}' | sort -u >"$apt/sources.list"
  apt-get -qq -o APT::Sandbox::User=root "${contrib[@]}" update >&2
}

# version_of PACKAGE APT-OPTION...: the newest that the lists have.
version_of() { apt-cache "${@:2}" show --no-all-versions "$1" 2>/dev/null | sed -n 's/^Version: //p'; }

# choose: the packages with their versions, and the directory that is named for these.
choose() {
  local zfs package
  zfs=$(version_of zfs-dkms "${contrib[@]}")
  [[ -n $zfs ]] || return
  from_contrib=({zfs-dkms,zfsutils-linux,libzfs4linux,libnvpair3linux,libuutil3linux}"=$zfs")
  from_main=("linux-headers-$release=$version" "linux-headers-${release%-cloud-*}-common=$version")
  package=linux-kbuild-${release%.*}
  from_main+=("$package=$(version_of "$package")")
  made=$cache/zfs-$zfs-$release-$version-$(cat "$here/zfs.sh" - <<<"${from_main[*]}" | sha256sum | cut -c1-12)
}
finish_if_made() {
  if choose && [[ -e $made/root ]]; then
    echo "$made"
    exit
  fi
}

download() {
  rm -f "$work"/*.deb
  (cd "$work" && apt-get -qq -o APT::Sandbox::User=root download "${from_main[@]}" >&2 &&
    apt-get -qq -o APT::Sandbox::User=root "${contrib[@]}" download "${from_contrib[@]}" >&2)
}

finish_if_made
exec 9>"$cache/zfs.lock"
flock 9 # who comes second finds what the first has built
finish_if_made
choose || { update && choose; } || die "no zfs-dkms in section contrib of this host's archives, or they are out of reach"

work=$(mktemp -d "$cache/making.XXXXXX")
trap 'rm -rf "$work"' EXIT
download || { update && choose && download; } || die "cannot download ${from_main[*]} ${from_contrib[*]}"
for deb in "$work"/*.deb; do dpkg -x "$deb" "$work/all"; done

# The packages' tree is used where it lies. Without debugging information the build takes half the time.
sources=$work/all/usr/src
objects=$sources/linux-headers-$release
sed -i "s|/usr/src/|$sources/|" "$objects/Makefile"
sed -i '/^CONFIG_DEBUG_INFO/d' "$objects/include/config/auto.conf"
cd "$sources"/zfs-*
{
  ./configure -q --with-config=kernel --with-linux="$sources/linux-headers-${release%-cloud-*}-common" --with-linux-obj="$objects" &&
    make -s -C module -j"$(nproc)" modules
} >"$work/log" 2>&1 9>&- || { cat "$work/log" >&2; die "the modules cannot be built"; }

modules=$work/out/lib/modules/$release
mkdir -p "$modules/updates" "$work/out/root/etc" "$work/out/root/usr/sbin" "$work/out/root/usr/lib/x86_64-linux-gnu"
cp -al "$kernel/lib/modules/$release/kernel" "$modules/"
cp "$kernel/lib/modules/$release"/modules.{order,builtin,builtin.modinfo} "$modules/"
cp module/*/*.ko "$modules/updates/"
strip --strip-debug "$modules"/updates/*.ko
depmod -b "$work/out" "$release"

cp "${programs[@]/#/"$work/all/sbin/"}" "$work/out/root/usr/sbin/"
for library in "${libraries[@]}"; do
  cp -P "$work/all/lib/x86_64-linux-gnu/$library".so.* "$work/out/root/usr/lib/x86_64-linux-gnu/"
done
printf 'nxvm' >"$work/out/root/etc/hostid"
lacking=$(LD_LIBRARY_PATH=$work/out/root/usr/lib/x86_64-linux-gnu ldd "$work/out/root/usr/sbin"/* | grep 'not found' | sort -u || true)
[[ -z $lacking ]] || die "libraries that the programs of ZFS need are not installed: ${lacking//$'\n'/,}"
mv -T "$work/out" "$made"
echo "$made"
