#!/bin/sh
# stages.sh STAGE...: make each stage in turn, then say how long each took and how it ended. A stage that fails does not
# keep the others from running, save `deps`: without it the rest would fail for its reasons. Exit status 1 if one failed.
set -u

began=$(date +%s)
summary=
failed=

for stage in "$@"; do
	printf '\n=== %s\n' "$stage"
	start=$(date +%s)
	if make --no-print-directory "$stage"; then
		result=ok
	else
		result=FAILED
		failed="$failed $stage"
	fi
	line=$(printf '%-8s %5d s  %s' "$stage" $(($(date +%s) - start)) "$result")
	summary="$summary$line
"
	echo "=== $line"
	[ "$stage $result" != "deps FAILED" ] || break
done

printf '\n=== summary\n%s%-8s %5d s  %s\n' "$summary" all $(($(date +%s) - began)) "${failed:+FAILED:$failed}"
[ -z "$failed" ]
