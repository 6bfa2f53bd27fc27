package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/disk"
)

func TestImaginaryImages(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "disk.img")
	must(t, os.WriteFile(file, nil, 0o600))
	must(t, os.Truncate(file, 5<<20+1))
	inner := filepath.Join(dir, "safe")
	must(t, os.Mkdir(inner, 0o700))
	must(t, os.Symlink(file, filepath.Join(inner, "way-out")))

	for _, c := range []struct {
		name string
		spec agentapi.ImageSpec
		size int64
		err  string
	}{
		{"file in a safe directory", agentapi.ImageSpec{Path: file, SafeDirs: []string{dir}, RestrictedDirs: []string{"/"}}, 6, ""},
		{"file outside of restricted ones", agentapi.ImageSpec{Path: file, RestrictedDirs: []string{"/etc"}}, 6, ""},
		{"file in a restricted directory", agentapi.ImageSpec{Path: file, RestrictedDirs: []string{dir}}, 1, ""},
		{"nothing is safe but the default", agentapi.ImageSpec{Path: file}, 1, ""},
		{"link out of the safe directory", agentapi.ImageSpec{Path: inner + "/way-out", SafeDirs: []string{inner}, RestrictedDirs: []string{"/"}}, 1, ""},
		{"directory with the same beginning", agentapi.ImageSpec{Path: file, SafeDirs: []string{dir[:len(dir)-1]}, RestrictedDirs: []string{"/"}}, 1, ""},
		{"no such file", agentapi.ImageSpec{Path: dir + "/none", SafeDirs: []string{dir}, SizeMB: 40}, 40, ""},
		{"URL", agentapi.ImageSpec{Path: "http://example.org/a.img", SizeMB: 7}, 7, ""},
		{"too large", agentapi.ImageSpec{Path: file, SafeDirs: []string{dir}, LimitMB: 5}, 0, "Not enough space in datastore"},
		{"just fits", agentapi.ImageSpec{Path: file, SafeDirs: []string{dir}, LimitMB: 6}, 6, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.spec.ID, c.spec.DatastoreID = 12, 1
			got, err := Imaginary{}.ImportVerified(t.Context(), &c.spec, disk.Sums{})
			if c.err != "" {
				if err == nil || err.Error() != c.err {
					t.Fatalf("error %v, want %q", err, c.err)
				}
				return
			}
			if err != nil || got.SizeMB != c.size || got.Format != "raw" {
				t.Fatalf("%+v, %v, want %d MB raw", got, err, c.size)
			}
			again, err := Imaginary{}.ImportVerified(t.Context(), &c.spec, disk.Sums{})
			if err != nil || again != got {
				t.Errorf("done again: %+v, %v, want %+v", again, err, got)
			}
			name, ok := strings.CutPrefix(got.Source, "/var/lib/one/datastores/1/")
			if !ok || len(name) != 32 {
				t.Errorf("source %q", got.Source)
			}
		})
	}
}

func TestImaginaryCreateAndClone(t *testing.T) {
	im := Imaginary{Datastores: "/ds"}
	a, err := im.CreateImage(t.Context(), &agentapi.ImageSpec{ID: 1, DatastoreID: 1, SizeMB: 20, Format: "qcow2"})
	if err != nil || a.SizeMB != 20 || a.Format != "qcow2" || !strings.HasPrefix(a.Source, "/ds/1/") {
		t.Errorf("create: %+v, %v", a, err)
	}
	b, err := im.CloneImage(t.Context(), &agentapi.ImageSpec{ID: 2, DatastoreID: 1, Source: a.Source, SizeMB: 20})
	if err != nil || b.Source == a.Source || b.SizeMB != 20 {
		t.Errorf("clone: %+v, %v", b, err)
	}
	if got := im.Dir(&agentapi.Machine{ID: 9, SystemDS: 3}); got != "/ds/3/9" {
		t.Errorf("directory %q", got)
	}
}
