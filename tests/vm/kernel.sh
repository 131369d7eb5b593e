#!/usr/bin/env bash
# kernel.sh CACHE: makes CACHE/VERSION/{vmlinuz,initrd,lib/modules/...} from Debian's cloud kernel, once for
# each version of the package, and prints CACHE/VERSION. Nothing is installed.
# kernel.sh CACHE package: prints the package's file, which is downloaded into CACHE once.
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
# All the initramfs needs to reach the host's file system.
first_modules=(virtio_pci virtiofs overlay)

package=$(apt-cache depends --important linux-image-cloud-amd64 | sed -n 's/^ *Depends: \(linux-image-.*\)/\1/p' | head -n 1)
[[ -n $package ]] || { echo "kernel.sh: the package lists have no linux-image-cloud-amd64" >&2; exit 1; }
version=$(apt-cache show --no-all-versions "$package" | sed -n 's/^Version: //p')
kernel=${package#linux-image-}
mkdir -p "$1"
file=$(readlink -f "$1")/${package}_$version.deb
fetch() {
  [[ ! -e $file ]] || return 0
  local work
  work=$(mktemp -d "$1/fetching.XXXXXX")
  download() { (cd "$work" && apt-get -qq -o APT::Sandbox::User=root download "$package=$version" >&2); }
  download || { apt-get -qq update >&2 && download; }
  mv "$work"/*.deb "$file"
  rmdir "$work"
}
if [[ ${2:-} == package ]]; then
  fetch "$1"
  echo "$file"
  exit
fi
made=$(readlink -f "$1")/$package-$version-$(cat "$here/init" "$here/kernel.sh" | sha256sum | cut -c1-12)
if [[ -e $made/initrd ]]; then
  echo "$made"
  exit
fi

work=$(mktemp -d "$1/making.XXXXXX")
trap 'rm -rf "$work"' EXIT
fetch "$1"
dpkg -x "$file" "$work/all"
mkdir "$work/out" "$work/out/lib" "$work/root"
mv "$work/all/boot/vmlinuz-$kernel" "$work/out/vmlinuz"
mv "$work/all/lib/modules" "$work/out/lib/modules"
depmod -b "$work/out" "$kernel"

# The modules and what they need, in the order in which they must be loaded.
modules=$work/out/lib/modules/$kernel
mkdir -p "$work/root"/{bin,modules,dev,proc,sys,run,tmp}
for module in "${first_modules[@]}"; do
  modprobe -d "$work/out" -S "$kernel" --show-depends "$module" | sed -n 's/^insmod //p'
done | awk '!seen[$1]++ {print $1}' | while read -r file; do
  cp "$modules/${file#*"/lib/modules/$kernel/"}" "$work/root/modules/"
  basename "$file"
done >"$work/order"
mv "$work/order" "$work/root/modules/order"
cp /bin/busybox "$work/root/bin/busybox"
install -m 755 "$here/init" "$work/root/init"
(cd "$work/root" && find . | cpio -o -H newc --quiet | gzip -1) >"$work/out/initrd"
mv -T "$work/out" "$made" 2>/dev/null || [[ -e $made/initrd ]]  # somebody else may have been faster
echo "$made"
