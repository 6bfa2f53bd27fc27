#!/bin/sh
# gen.sh: write all generated files anew. They are committed, so that building needs no generator.
# gen.sh check: fail if they are not what gen.sh would write.
#
# Generators that are part of the project are quick, so the check runs them. Building buf takes minutes, so for the
# protocol the check compares digests: scripts/gen.sum says which sources the committed files were made from.
set -eu

cd "$(dirname "$0")/.."
GO=${GO:-go}
buf=github.com/bufbuild/buf/cmd/buf@v1.60.0
sums=scripts/gen.sum

protocol_sums() {
	find buf.yaml buf.gen.yaml cmd internal proto \
		\( -name 'buf*.yaml' -o -name '*.proto' -o -name '*.pb.go' \) -type f -exec sha256sum {} + | LC_ALL=C sort -k 2
}

# state identifies the content of every file that Git knows or would take.
state() {
	git ls-files -z --cached --others --exclude-standard | xargs -0 sha256sum 2>/dev/null | sort
}

if [ "${1:-}" != check ]; then
	if [ -e buf.gen.yaml ]; then
		# The plugins are named, with their versions, in buf.gen.yaml.
		$GO run "$buf" generate
		protocol_sums >"$sums"
	fi
	$GO generate ./...
	exit
fi

before=$(mktemp)
after=$(mktemp)
trap 'rm -f "$before" "$after"' EXIT

if [ -e buf.gen.yaml ]; then
	protocol_sums >"$after"
	if ! diff "$sums" "$after"; then
		echo "gen: the protocol's files are not what 'make gen' has written; run it and commit the result" >&2
		exit 1
	fi
fi
if ! grep -rqs --include='*.go' '^//go:generate ' cmd internal test; then
	exit
fi
if ! git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
	echo "gen: NOT CHECKED that the output of go generate is up to date: this is not a Git work tree"
	exit
fi
state >"$before"
$GO generate ./...
state >"$after"
if ! diff "$before" "$after" >/dev/null; then
	echo "gen: these generated files were not up to date and are now; commit them:" >&2
	diff "$before" "$after" | sed -n 's/^> [0-9a-f]*  /	/p' >&2
	exit 1
fi
