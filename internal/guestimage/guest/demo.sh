#!/bin/sh
# What a guest of the demonstration does: report that it is ready, show what the gate tells it, then report as LOAD
# whatever load its user template asks it to pretend (DEMO_LOAD).
exec >/dev/console 2>&1
export PATH=/usr/bin:/usr/sbin:/bin:/sbin
. /run/one-context/one_env
trap '' PIPE # a gate that hangs up is an error, not the end

say() { echo "trifid-guest: $*"; }

# gate METHOD PATH [BODY]: one request to the gate; prints the body of a good answer, fails otherwise.
# BusyBox's wget cannot PUT. nc closes its side when its input ends, which servers take for a client that has gone: so its
# input is a pipe held open until the answer is there.
gate() {
	server=${ONEGATE_ENDPOINT#*://}
	server=${server%%/*}
	port=${server##*:}
	[ "$port" != "$server" ] || port=80
	rm -f /tmp/request
	mkfifo /tmp/request
	nc -w 10 "${server%%:*}" "$port" </tmp/request >/tmp/answer &
	exec 3>/tmp/request
	printf '%s %s HTTP/1.0\r\nHost: %s\r\nX-ONEGATE-TOKEN: %s\r\nX-ONEGATE-VMID: %s\r\nContent-Length: %d\r\n\r\n%s' \
		"$1" "$2" "$server" "$TOKENTXT" "$VMID" "${#3}" "$3" >&3 2>/dev/null
	wait $!
	exec 3>&-
	case $(head -n 1 /tmp/answer) in
	"HTTP/1."[01]" 2"*) sed '1,/^\r*$/d' /tmp/answer ;;
	*) return 1 ;;
	esac
}

until gate PUT /vm READY=YES >/dev/null; do
	sleep 1
done
say "reported ready"

if [ -x /usr/bin/onegate ]; then
	onegate vm show
	onegate service show
fi

shown=
while :; do
	load=$(gate GET /vm | tr ',{}' '\n\n\n' | sed -n 's/^ *"DEMO_LOAD" *: *"\([^"]*\)".*/\1/p')
	if [ -n "$load" ] && gate PUT /vm "LOAD=$load" >/dev/null && [ "$load" != "$shown" ]; then
		shown=$load
		say "reporting load $load"
	fi
	sleep 1
done
