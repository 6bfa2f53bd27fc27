package daemon

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func snapshot(t *testing.T, data, file string) Backup {
	t.Helper()
	b, err := Snapshot(t.Context(), data, file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func restore(t *testing.T, file, data string) error {
	t.Helper()
	_, err := Restore(t.Context(), file, data, slog.New(slog.DiscardHandler))
	return err
}

// A server starts from a snapshot of another that runs on, in a directory whose
// path is longer than that of a socket may be.
func TestSnapshotAndRestore(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("long/", 30))
	first := start(t, settings(long))
	first.call("template.allocate", "NAME=small\nCPU=0.1\nMEMORY=8")
	file := filepath.Join(t.TempDir(), "snapshot")
	if err := os.WriteFile(file, []byte("an older one"), 0o644); err != nil {
		t.Fatal(err)
	}
	b := snapshot(t, long, file)
	if st, err := os.Stat(file); err != nil || st.Mode().Perm() != 0o600 || st.Size() != b.Size || b.Keys == 0 {
		t.Errorf("%+v, %v, %v", b, st.Mode(), err)
	}
	checkModes(t, long)
	if st, err := os.Stat(filepath.Join(long, controlSocket)); err != nil || st.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("the socket: %v, %v", st.Mode(), err)
	}
	// What is there already and is neither store nor credentials stays.
	data := filepath.Join(t.TempDir(), "data")
	kept := filepath.Join(data, "datastores/1/image")
	if err := os.MkdirAll(filepath.Dir(kept), 0o711); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(kept, []byte("bytes"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := restore(t, file, data); err != nil {
		t.Fatal(err)
	}
	second := start(t, settings(data))
	checkModes(t, data)
	if n, err := second.core.Doc(context.Background(), "template.info", 0); err != nil || n.Get("NAME") != "small" {
		t.Errorf("the template: %v, %v", n.Get("NAME"), err)
	}
	if text, err := os.ReadFile(kept); err != nil || string(text) != "bytes" {
		t.Errorf("the image: %q, %v", text, err)
	}
	second.end()
	second.quiet()
	first.end()
	first.quiet()
	if _, err := os.Stat(filepath.Join(long, controlSocket)); err == nil {
		t.Error("the socket is there without a server")
	}
	if _, err := Snapshot(t.Context(), long, file); err == nil || !strings.Contains(err.Error(), "no server runs on") {
		t.Errorf("a snapshot without a server: %v", err)
	}
	if left, err := os.ReadDir(filepath.Dir(file)); err != nil || len(left) != 1 {
		t.Errorf("beside the snapshot there is %v, %v", left, err)
	}
}

// No server starts from half a restore, and a second restore makes a whole one.
func TestRestoreCutShort(t *testing.T) {
	r := start(t, settings(t.TempDir()))
	file := filepath.Join(t.TempDir(), "snapshot")
	snapshot(t, r.dir, file)
	r.end()
	data := t.TempDir()
	d, err := makeDataDir(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{restoring, "auth/one_auth", "run/snapshot"} {
		if err := os.WriteFile(d.join(name), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
	if err := <-begin(t, settings(data)).ended; err == nil || !strings.Contains(err.Error(), "run 'trifid restore' again") {
		t.Errorf("from half a restore: %v", err)
	}
	if err := restore(t, file, data); err != nil {
		t.Fatal(err)
	}
	start(t, settings(data)).call("system.version")
}

func TestRestoreRefuses(t *testing.T) {
	r := start(t, settings(t.TempDir()))
	file := filepath.Join(t.TempDir(), "snapshot")
	snapshot(t, r.dir, file)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := restore(t, file, r.dir); err == nil || !strings.Contains(err.Error(), "in use by another trifid") {
		t.Errorf("into the directory of a server that runs: %v", err)
	}
	r.end()
	if err := restore(t, file, r.dir); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("into a directory with a store: %v", err)
	}
	archive := func(h ...tar.Header) []byte {
		var buf bytes.Buffer
		w := tar.NewWriter(&buf)
		for _, h := range h {
			if err := w.WriteHeader(&h); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(make([]byte, h.Size)); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return buf.Bytes()
	}
	var many []tar.Header
	for i := range maxSecrets + 1 {
		many = append(many, tar.Header{Name: fmt.Sprint("auth/f", i)})
	}
	for what, c := range map[string]struct {
		file []byte
		want string
	}{
		"empty":        {nil, "it has no store"},
		"other":        {bytes.Repeat([]byte("text "), 999), "no backup, or damaged"},
		"cut":          {whole[:len(whole)/2], "damaged"},
		"outside":      {archive(tar.Header{Name: "auth/../../passwd"}), "unexpected"},
		"link":         {archive(tar.Header{Name: "auth/one_auth", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}), "unexpected"},
		"large secret": {archive(tar.Header{Name: "auth/one_auth", Size: maxSecret + 1}), "unexpected"},
		"twice":        {archive(tar.Header{Name: "auth/a"}, tar.Header{Name: "auth/a"}), "file exists"},
		"many":         {archive(many...), "unexpected"},
		"bad store":    {archive(tar.Header{Name: backupStore, Size: 9}), "damaged"},
	} {
		bad, data := filepath.Join(t.TempDir(), "bad"), t.TempDir()
		if err := os.WriteFile(bad, c.file, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := restore(t, bad, data); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; expected %q", what, err, c.want)
		}
		for _, sub := range []string{"auth", "store"} {
			if left, err := os.ReadDir(filepath.Join(data, sub)); err != nil || len(left) > 0 {
				t.Errorf("%s: left %v in %s, %v", what, left, sub, err)
			}
		}
		if err := restore(t, file, data); err != nil { // which can be used all the same
			t.Errorf("after %s: %v", what, err)
		}
	}
}

// Whatever a file says it is, nothing is written but into auth/ and beside it.
func FuzzUnpack(f *testing.F) {
	var good bytes.Buffer
	w := tar.NewWriter(&good)
	for _, name := range []string{"auth/one_auth", backupStore} {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: 4}); err != nil {
			f.Fatal(err)
		}
		if _, err := w.Write([]byte("text")); err != nil {
			f.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(good.Bytes())
	f.Add(good.Bytes()[:600])
	f.Add(bytes.Replace(good.Bytes(), []byte("auth/one_auth"), []byte("auth/../../aa"), 1))
	f.Fuzz(func(t *testing.T, text []byte) {
		root := t.TempDir()
		dir := &dataDir{path: filepath.Join(root, "data")}
		if err := os.MkdirAll(dir.join("auth"), 0o700); err != nil {
			t.Fatal(err)
		}
		err := unpack(bytes.NewReader(text), dir, dir.join("snapshot"))
		if _, there := os.Stat(dir.join("snapshot")); err == nil && there != nil {
			t.Error("a backup without a store was taken")
		}
		if all, err := os.ReadDir(root); err != nil || len(all) != 1 {
			t.Errorf("written outside: %v, %v", all, err)
		}
		if all, err := os.ReadDir(dir.path); err != nil || len(all) > 2 {
			t.Errorf("written beside: %v, %v", all, err)
		}
	})
}
