#!/bin/sh
# Run by acpid when the power button is pressed.
exec >/dev/console 2>&1
export PATH=/usr/bin:/usr/sbin:/bin:/sbin
echo "trifid-guest: powering off"
kill -TERM -1
sync
mount -o remount,ro / 2>/dev/null # in vain while somebody still writes; the journal is good for that
poweroff -f
