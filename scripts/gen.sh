#!/bin/sh
# gen.sh: write all generated files anew. They are committed, so that building needs no generator.
# gen.sh check: fail if that changes any of them.
set -eu

cd "$(dirname "$0")/.."
GO=${GO:-go}
buf=github.com/bufbuild/buf/cmd/buf@v1.60.0

generate() {
	# protoc-gen-go and protoc-gen-go-grpc are named, with their versions, in buf.gen.yaml.
	if [ -e buf.gen.yaml ]; then
		$GO run "$buf" generate
	fi
	$GO generate ./...
}

# state identifies the content of every file that Git knows or would take.
state() {
	git ls-files -z --cached --others --exclude-standard | xargs -0 sha256sum 2>/dev/null | sort
}

if [ "${1:-}" != check ]; then
	generate
	exit
fi
if [ ! -e buf.gen.yaml ] && ! grep -rqs --include='*.go' '^//go:generate ' .; then
	echo "gen: there are no generated files"
	exit
fi
if ! git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
	echo "gen: NOT CHECKED that generated files are up to date: this is not a Git work tree"
	exit
fi
before=$(mktemp)
after=$(mktemp)
trap 'rm -f "$before" "$after"' EXIT
state >"$before"
generate
state >"$after"
if ! diff "$before" "$after" >/dev/null; then
	echo "gen: these generated files were not up to date and are now; commit them:" >&2
	diff "$before" "$after" | sed -n 's/^> [0-9a-f]*  /	/p' >&2
	exit 1
fi
