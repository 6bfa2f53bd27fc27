#!/bin/sh
# fuzz.sh: run every fuzz target of the project for $FUZZTIME each. What it finds stays in the package's testdata/fuzz,
# to be committed with the fix.
set -eu

cd "$(dirname "$0")/.."
GO=${GO:-go}
FUZZTIME=${FUZZTIME:-20s}

failed=
for match in $(grep -roE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' cmd internal test | tr ' ' :); do
	package=./$(dirname "${match%%:*}")
	target=${match##*:}
	echo "=== $package $target"
	$GO test -run '^$' -fuzz "^$target\$" -fuzztime "$FUZZTIME" "$package" || failed="$failed $package:$target"
done
if [ -n "$failed" ]; then
	echo "fuzz: failed:$failed" >&2
	exit 1
fi
