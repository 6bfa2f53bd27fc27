#!/bin/sh
# deps.sh: give this Debian machine what the tests with real guests need, and nothing else.
#
# Installs the missing packages only, starts no service, and unpacks (never installs) a guest kernel into the cache
# directory. With nothing missing it needs neither root nor the network.
#
#   TRIFID_CACHE   where the kernel goes (default: .cache in the repository)
set -eu

cd "$(dirname "$0")/.."
cache=${TRIFID_CACHE:-$PWD/.cache}

# libvirt-daemon rather than libvirt-daemon-system: the daemon without its service units, so that none ever starts here.
packages="
	busybox-static
	e2fsprogs
	genisoimage
	iproute2
	libvirt-daemon
	libvirt-daemon-driver-qemu
	libxml2-utils
	nftables
	qemu-system-x86
	qemu-utils
"

# What libvirt-daemon-system would have made, of which the private libvirtd of the tests needs: its account and group,
# looked up when the daemon starts, and the directories, which the sandbox covers with its own (see internal/sandbox).
account=libvirt-qemu
directories="/etc/libvirt /var/cache/libvirt /var/lib/libvirt /var/log/libvirt"

policy=/usr/sbin/policy-rc.d
policy_mark="written by trifid's deps.sh, to be removed when it ends"

say() { echo "deps: $*"; }

need_root() {
	[ "$(id -u)" = 0 ] && return
	echo "deps: $* is missing and only root can add it: run 'make deps' as root" >&2
	exit 1
}

missing_packages() {
	for package in $packages; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || echo "$package"
	done
}

updated=
update_lists() {
	[ -n "$updated" ] && return
	say "updating the package lists"
	apt-get update -qq
	updated=yes
}

# A policy-rc.d that answers 101 forbids every service start; one that is not ours stays as it is.
forbid_services() {
	if [ -e "$policy" ] && ! grep -qs "$policy_mark" "$policy"; then
		return
	fi
	trap 'rm -f "$policy"' EXIT
	trap 'exit 130' INT TERM HUP
	printf '#!/bin/sh\n# %s\nexit 101\n' "$policy_mark" >"$policy"
	chmod 755 "$policy"
}

allow_services() {
	if grep -qs "$policy_mark" "$policy"; then rm -f "$policy"; fi
	trap - EXIT INT TERM HUP
}

install_packages() {
	missing=$(missing_packages | tr '\n' ' ')
	[ -n "$missing" ] || return 0
	need_root "$missing"
	update_lists
	say "installing $missing"
	forbid_services
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
		-o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120 $missing >/dev/null
	allow_services
}

# useradd and groupadd of a system account. 64055 is what Debian reserves for it, so that a later libvirt-daemon-system
# finds what it expects; where the number is taken, any other does.
make_account() {
	id=64055
	if ! getent group "$account" >/dev/null; then
		need_root "the group $account"
		say "creating the group $account"
		gid=$id
		if getent group "$gid" >/dev/null; then gid=; fi
		groupadd --system ${gid:+--gid "$gid" --key SYS_GID_MAX="$gid"} "$account"
	fi
	if ! getent passwd "$account" >/dev/null; then
		need_root "the account $account"
		say "creating the account $account"
		getent group kvm >/dev/null || groupadd --system kvm
		uid=$id
		if getent passwd "$uid" >/dev/null; then uid=; fi
		useradd --system ${uid:+--uid "$uid" --key SYS_UID_MAX="$uid"} --gid kvm --no-create-home \
			--home-dir /var/lib/libvirt --comment "Libvirt Qemu" --shell /usr/sbin/nologin "$account"
	fi
}

make_directories() {
	for directory in $directories; do
		[ -d "$directory" ] && continue
		need_root "the directory $directory"
		say "creating $directory"
		mkdir -p "$directory"
	done
}

# The kernel of the guests. Installing the package would touch this machine's boot loader, so it is unpacked.
unpack_kernel() {
	[ -e "$cache/kernel/package" ] && return
	mkdir -p "$cache"
	apt-cache show linux-image-cloud-amd64 >/dev/null 2>&1 || { need_root "the package lists"; update_lists; }
	package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
	if [ -z "$package" ]; then
		echo "deps: linux-image-cloud-amd64 depends on no versioned kernel package; is this Debian on amd64?" >&2
		exit 1
	fi
	work=$(mktemp -d "$cache/kernel.XXXXXX")
	say "downloading $package"
	if ! (cd "$work" && apt-get download -qq "$package" 2>"$work/log"); then
		# The lists may name a version that has left the archive since.
		need_root "a fresh package list (apt-get download $package failed)"
		update_lists
		(cd "$work" && apt-get download -qq "$package")
	fi
	say "unpacking it into $cache/kernel"
	dpkg-deb -x "$work"/*.deb "$work/root"
	basename "$work"/*.deb >"$work/root/package"
	rm -rf "$cache/kernel"
	mv "$work/root" "$cache/kernel"
	rm -rf "$work"
}

install_packages
make_account
make_directories
unpack_kernel
say "complete"
