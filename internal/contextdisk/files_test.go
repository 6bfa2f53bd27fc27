package contextdisk

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"syscall"
	"testing"

	"github.com/trifid-cloud/trifid/internal/tmpl"
)

func TestSources(t *testing.T) {
	v := tmpl.Vec("CONTEXT",
		"FILES", " /srv/one/init.sh\n/srv/one/dir  http://example.org/x ",
		"FILES_DS", "/var/lib/one//datastores/2/abc:'init script' rbd:pool/one-7:'b.sh' ").Vector
	got, err := Sources(v)
	want := []Source{{Path: "/srv/one/init.sh"}, {Path: "/srv/one/dir"}, {Path: "http://example.org/x"},
		{Path: "/var/lib/one//datastores/2/abc", Name: "init script"}, {Path: "rbd:pool/one-7", Name: "b.sh"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := Sources(nil); err != nil || len(got) != 0 {
		t.Errorf("none: %+v, %v", got, err)
	}
	for _, bad := range []string{"/a", "/a:'b", ":'b'", "/a:''", "/a:'b' c"} {
		if got, err := Sources(tmpl.Vec("C", "FILES_DS", bad).Vector); err == nil {
			t.Errorf("%q accepted: %+v", bad, got)
		}
	}
}

func FuzzSources(f *testing.F) {
	f.Add("/a /b", "/c:'d' ")
	f.Add("", "x:'y'z:'w'")
	f.Fuzz(func(t *testing.T, files, ds string) {
		got, err := Sources(tmpl.Vec("C", "FILES", files, "FILES_DS", ds).Vector)
		for _, s := range got {
			if err == nil && s.Path == "" {
				t.Fatalf("%q %q: empty path in %+v", files, ds, got)
			}
		}
	})
}

func TestLocalFiles(t *testing.T) {
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(dir, "app/conf"), 0o750))
	must(os.WriteFile(filepath.Join(dir, "app/run.sh"), []byte("run"), 0o755))
	must(os.WriteFile(filepath.Join(dir, "app/conf/a"), []byte("aa"), 0o600))
	must(os.Symlink("conf/a", filepath.Join(dir, "app/link")))
	for path, mode := range map[string]fs.FileMode{"app": 0o750, "app/conf": 0o750, "app/conf/a": 0o600, "app/run.sh": fs.ModeSetuid | 0o755} { // whatever the umask
		must(os.Chmod(filepath.Join(dir, path), mode))
	}

	files, err := LocalFiles(filepath.Join(dir, "app"), "")
	must(err)
	got := map[string]File{}
	for _, f := range files {
		got[f.Path] = f
	}
	for path, mode := range map[string]fs.FileMode{"app": fs.ModeDir | 0o750, "app/conf": fs.ModeDir | 0o750, "app/conf/a": 0o600, "app/run.sh": 0o755, "app/link": fs.ModeSymlink | 0o777} {
		if f, ok := got[path]; !ok || f.Mode != mode {
			t.Errorf("%s: %v, mode %v, want %v", path, ok, f.Mode, mode)
		}
	}
	if len(got) != 5 || got["app/link"].Target != "conf/a" || got["app/conf/a"].Size != 2 {
		t.Errorf("files: %+v", got)
	}
	var b bytes.Buffer
	if _, err := Build(&b, Spec{Files: files, Time: stamp}); err != nil || !bytes.Contains(b.Bytes(), []byte("run")) {
		t.Errorf("image: %v", err)
	}

	one, err := LocalFiles(filepath.Join(dir, "app/run.sh"), "init.sh")
	if err != nil || len(one) != 1 || one[0].Path != "init.sh" {
		t.Errorf("one file: %+v, %v", one, err)
	}
	// What was collected is a file, not a name: a link put in its place is refused.
	must(os.Remove(filepath.Join(dir, "app/run.sh")))
	must(os.Symlink("conf/a", filepath.Join(dir, "app/run.sh")))
	if r, err := one[0].Open(); err == nil {
		r.Close()
		t.Error("opened a file that was replaced")
	}

	must(syscall.Mkfifo(filepath.Join(dir, "app/pipe"), 0o600))
	if _, err := LocalFiles(filepath.Join(dir, "app"), ""); err == nil {
		t.Error("a pipe was collected")
	}
	if _, err := LocalFiles(filepath.Join(dir, "nowhere"), ""); err == nil {
		t.Error("a missing file was collected")
	}
}
