#!/bin/sh
# Run once by BusyBox's init: from a bare kernel to a guest that knows its context, has its network and hears its power
# button. The contextualization is a small part of what OpenNebula's context packages do, with the same names.
exec >/dev/console 2>&1
export PATH=/usr/bin:/usr/sbin:/bin:/sbin

say() { echo "trifid-guest: $*"; }

mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mkdir /run/one-context
ifconfig lo 127.0.0.1 up

# The power button first: a press before somebody listens is lost.
acpid
tries=100
until ls -l "/proc/$(pidof acpid)/fd" 2>/dev/null | grep -q /dev/input/event; do
	tries=$((tries - 1))
	[ "$tries" -gt 0 ] || { say "failed: no power button"; break; }
	sleep 0.05
done

# A CD may appear a while after its driver is loaded; a machine may also have none.
mounted=
tries=10
[ -e /dev/sr0 ] && tries=150
while [ "$tries" -gt 0 ]; do
	if cd=$(findfs LABEL=CONTEXT 2>/dev/null) && mount -t iso9660 -o ro "$cd" /mnt/context; then
		mounted=yes
		break
	fi
	tries=$((tries - 1))
	sleep 0.1
done
if [ -n "$mounted" ] && [ -f /mnt/context/context.sh ]; then
	set -a
	. /mnt/context/context.sh
	set +a
	say "context read from $cd"
else
	say "no context"
fi

name=${SET_HOSTNAME:-${HOSTNAME:-guest}}
hostname "$name"
echo "127.0.0.1 localhost $name" >/etc/hosts

# A gate at a link-local address is on whatever link there is, with or without a route elsewhere.
onlink=
case $ONEGATE_ENDPOINT in
*://169.254.*)
	onlink=${ONEGATE_ENDPOINT#*://}
	onlink=${onlink%%[:/]*}
	;;
esac

# Each ETHx block belongs to the interface with its MAC address.
: >/etc/resolv.conf
for prefix in $(set | sed -n 's/^\(ETH[0-9][0-9]*\)_MAC=.*/\1/p'); do
	eval "mac=\$${prefix}_MAC ip=\$${prefix}_IP mask=\$${prefix}_MASK gateway=\$${prefix}_GATEWAY"
	eval "mtu=\$${prefix}_MTU dns=\$${prefix}_DNS"
	mac=$(echo "$mac" | tr A-F a-f)
	for link in /sys/class/net/*; do
		[ "$(cat "$link/address")" = "$mac" ] || continue
		nic=${link##*/}
		[ -n "$mtu" ] && ifconfig "$nic" mtu "$mtu"
		[ -n "$ip" ] && ifconfig "$nic" "$ip" netmask "${mask:-255.255.255.0}"
		ifconfig "$nic" up
		[ -n "$gateway" ] && route add default gw "$gateway" dev "$nic"
		if [ -n "$onlink" ]; then
			route add -host "$onlink" dev "$nic"
			onlink=
		fi
		for server in $dns; do
			echo "nameserver $server" >>/etc/resolv.conf
		done
		say "$nic $mac $ip"
	done
done

# What the onegate client and the scripts below need to reach the gate.
TOKENTXT=${ONEGATE_TOKEN:-$(cat /mnt/context/token.txt 2>/dev/null)}
(
	umask 077
	for variable in TOKENTXT VMID ONEGATE_ENDPOINT; do
		eval "value=\$$variable"
		echo "export $variable=\"$value\""
	done >/run/one-context/one_env
)
export TOKENTXT

say booted

if [ -n "$START_SCRIPT_BASE64" ]; then
	echo "$START_SCRIPT_BASE64" | base64 -d >/run/one-context/start
elif [ -n "$START_SCRIPT" ]; then
	echo "$START_SCRIPT" >/run/one-context/start
fi
if [ -f /run/one-context/start ]; then
	chmod 700 /run/one-context/start
	cd /mnt/context && /run/one-context/start
	say "start script ended with $?"
	cd /
fi
