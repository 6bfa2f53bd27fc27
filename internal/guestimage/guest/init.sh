#!/bin/sh
# Process 1 of the initial RAM disk: load the drivers, find the root disk by its label, go on there.

fail() {
	echo "trifid-guest: failed: $*"
	poweroff -f
}

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev

for module in $(cat /modules/order); do
	insmod "/modules/$module" || echo "trifid-guest: module $module not loaded"
done

# SCSI disks appear a while after their driver is loaded.
tries=100
until root=$(findfs LABEL=trifid-root 2>/dev/null); do
	tries=$((tries - 1))
	[ "$tries" -gt 0 ] || fail "no disk has a file system labelled trifid-root"
	sleep 0.1
done
mount -t ext4 "$root" /root || fail "cannot mount $root"

for dir in proc sys dev; do
	mount -o move "/$dir" "/root/$dir"
done
exec switch_root /root /sbin/init
