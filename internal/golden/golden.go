// Package golden keeps what tests expect in files, which -update writes anew. It
// is for tests alone.
package golden

import (
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Want returns what a file expects; with -update that is what there is.
func Want(t testing.TB, file, got string) string {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(want)
}

// Check compares with a file, to the byte.
func Check(t testing.TB, file, got string) {
	t.Helper()
	if want := Want(t, file, got); got != want {
		t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
	}
}
