package disk

import (
	"crypto/md5"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/trifid-cloud/trifid/internal/agentapi"
)

func TestImport(t *testing.T) {
	h := newHost(t, Config{})
	dir := t.TempDir()
	raw := write(t, filepath.Join(dir, "raw.img"), strings.Repeat("r", mb+1))
	spec := agentapi.ImageSpec{ID: 3, DatastoreID: 1, Path: raw, SafeDirs: []string{dir}}
	got, err := h.ImportVerified(t.Context(), &spec, Sums{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Format != Raw || got.SizeMB != 2 || filepath.Dir(got.Source) != filepath.Join(h.cfg.Base, "1") || read(t, got.Source) != read(t, raw) {
		t.Errorf("imported %+v", got)
	}
	wantMode(t, got.Source, diskMode)

	// The source may be gone when the step is repeated.
	if err := os.Remove(raw); err != nil {
		t.Fatal(err)
	}
	if again, err := h.ImportVerified(t.Context(), &spec, Sums{}); err != nil || again != got {
		t.Errorf("imported again: %+v, %v", again, err)
	}

	clone, err := h.CloneImage(t.Context(), &agentapi.ImageSpec{ID: 4, DatastoreID: 2, Source: got.Source})
	if err != nil || clone.SizeMB != 2 || read(t, clone.Source) != read(t, got.Source) || filepath.Dir(clone.Source) != filepath.Join(h.cfg.Base, "2") {
		t.Errorf("clone %+v, %v", clone, err)
	}
	spec.Source = got.Source
	for range 2 {
		if err := h.DeleteImage(t.Context(), &spec); err != nil {
			t.Error(err)
		}
	}
	if there, err := exists(got.Source); there || err != nil {
		t.Errorf("the deleted image is there (%v)", err)
	}
	// Another datastore's file is not this image's to delete.
	if err := h.DeleteImage(t.Context(), &agentapi.ImageSpec{ID: 3, DatastoreID: 1, Source: clone.Source}); err != nil {
		t.Error(err)
	}
	if there, err := exists(clone.Source); !there || err != nil {
		t.Errorf("a file outside the datastore was deleted (%v)", err)
	}
}

func TestImportConverts(t *testing.T) {
	h := newHost(t, Config{})
	dir := t.TempDir()
	qc := qcow2(t, filepath.Join(dir, "qc"), 3)
	for format, want := range map[string]string{"": Qcow2, "qcow2": Qcow2, "RAW": Raw} {
		got, err := h.ImportVerified(t.Context(), &agentapi.ImageSpec{ID: 1, DatastoreID: 1, Path: qc, Format: format, SafeDirs: []string{dir}}, Sums{})
		if err != nil || got.Format != want || got.SizeMB != 3 {
			t.Errorf("imported as %q: %+v, %v", format, got, err)
		}
	}
	noParts(t, h.cfg.Base)
}

func TestCreateImage(t *testing.T) {
	needs(t, "qemu-img", "mkfs.ext4")
	h := newHost(t, Config{})
	for name, test := range map[string]struct {
		spec agentapi.ImageSpec
		want string
	}{
		"raw":        {agentapi.ImageSpec{SizeMB: 10}, Raw},
		"qcow2":      {agentapi.ImageSpec{SizeMB: 10, Format: "qcow2"}, Qcow2},
		"raw ext4":   {agentapi.ImageSpec{SizeMB: 10, FS: "ext4"}, Raw},
		"qcow2 ext4": {agentapi.ImageSpec{SizeMB: 10, Format: "qcow2", FS: "ext4"}, Qcow2},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := h.CreateImage(t.Context(), &test.spec)
			if err != nil || got.Format != test.want || got.SizeMB != 10 {
				t.Fatalf("created %+v, %v", got, err)
			}
			if test.spec.FS == "" {
				return
			}
			raw := filepath.Join(t.TempDir(), "raw")
			if err := h.convert(t.Context(), got.Source, got.Format, raw, Raw); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command("e2fsck", "-fn", raw).CombinedOutput(); err != nil {
				t.Errorf("the file system is not sound: %v\n%s", err, out)
			}
		})
	}
	for name, spec := range map[string]agentapi.ImageSpec{
		"no size": {}, "format": {SizeMB: 1, Format: "vmdk"}, "fs": {SizeMB: 1, FS: "a b"}, "limit": {SizeMB: 5, LimitMB: 4},
	} {
		if got, err := h.CreateImage(t.Context(), &spec); err == nil {
			t.Errorf("%s: created %+v", name, got)
		}
	}
	noParts(t, h.cfg.Base)
}

func TestImportRefuses(t *testing.T) {
	h := newHost(t, Config{})
	safe, secret := t.TempDir(), t.TempDir()
	plain := write(t, filepath.Join(safe, "plain"), strings.Repeat("p", 3*mb))
	hidden := write(t, filepath.Join(secret, "hidden"), "secret")
	link := filepath.Join(safe, "link")
	linked := filepath.Join(safe, "dir")
	pipe := filepath.Join(safe, "pipe")
	backed := filepath.Join(safe, "backed")
	if err := errors.Join(os.Symlink(hidden, link), os.Symlink(secret, linked), syscall.Mkfifo(pipe, 0o600)); err != nil {
		t.Fatal(err)
	}
	header := func(change func(h []byte)) string {
		b := make([]byte, 512)
		copy(b, "QFI\xfb\x00\x00\x00\x03")
		b[23] = 16
		change(b)
		return string(b)
	}
	write(t, backed, header(func(b []byte) { b[15] = 104; b[19] = 5; copy(b[104:], hidden) }))
	external := write(t, filepath.Join(safe, "external"), header(func(b []byte) { b[79] = 4 }))
	vmdk := write(t, filepath.Join(safe, "vmdk"), "KDMV\x01")

	for name, test := range map[string]struct {
		spec agentapi.ImageSpec
		sums Sums
		want string
	}{
		"outside":        {spec: agentapi.ImageSpec{Path: hidden}, want: "Not allowed to copy image file " + hidden},
		"outside absent": {spec: agentapi.ImageSpec{Path: hidden + "x"}, want: "Not allowed to copy image file"},
		"dots":           {spec: agentapi.ImageSpec{Path: safe + "/../" + filepath.Base(secret) + "/hidden"}, want: "Not allowed"},
		"link":           {spec: agentapi.ImageSpec{Path: link}, want: "Not allowed to copy image file " + link},
		"linked dir":     {spec: agentapi.ImageSpec{Path: linked + "/hidden"}, want: "Not allowed"},
		"pipe":           {spec: agentapi.ImageSpec{Path: pipe}, want: "expected a regular file"},
		"directory":      {spec: agentapi.ImageSpec{Path: safe + "/dir/.."}, want: "Not allowed"},
		"relative":       {spec: agentapi.ImageSpec{Path: "plain"}, want: "absolute path"},
		"empty":          {spec: agentapi.ImageSpec{}, want: "path is missing"},
		"absent":         {spec: agentapi.ImageSpec{Path: plain + "x"}, want: "no such file"},
		"limit":          {spec: agentapi.ImageSpec{Path: plain, LimitMB: 2}, want: "Not enough space in datastore"},
		"backing file":   {spec: agentapi.ImageSpec{Path: backed}, want: "backing file"},
		"external data":  {spec: agentapi.ImageSpec{Path: external}, want: "data in another file"},
		"vmdk":           {spec: agentapi.ImageSpec{Path: vmdk}, want: "format vmdk"},
		"md5":            {spec: agentapi.ImageSpec{Path: plain}, sums: Sums{MD5: "00"}, want: "MD5 of the file"},
		"sha1":           {spec: agentapi.ImageSpec{Path: plain}, sums: Sums{SHA1: "00"}, want: "SHA1 of the file"},
		"http":           {spec: agentapi.ImageSpec{Path: "http://example.org/x"}, want: "not enabled"},
		"ssh":            {spec: agentapi.ImageSpec{Path: "ssh://example.org/x"}, want: "not supported yet"},
		"format":         {spec: agentapi.ImageSpec{Path: plain, Format: "vdi"}, want: "FORMAT"},
	} {
		t.Run(name, func(t *testing.T) {
			spec := test.spec
			spec.ID, spec.DatastoreID, spec.SafeDirs, spec.RestrictedDirs = 1, 1, []string{safe}, []string{"/"}
			got, err := h.ImportVerified(t.Context(), &spec, test.sums)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %+v and error %v, want %q", got, err, test.want)
			}
			if there, err := exists(h.imagePath(&spec)); there || err != nil {
				t.Errorf("a refused image is there (%v)", err)
			}
		})
	}
	noParts(t, h.cfg.Base)

	md, sh := md5.Sum([]byte(read(t, plain))), sha1.Sum([]byte(read(t, plain)))
	spec := agentapi.ImageSpec{ID: 1, DatastoreID: 1, Path: plain, SafeDirs: []string{safe}}
	if _, err := h.ImportVerified(t.Context(), &spec, Sums{MD5: strings.ToUpper(hex.EncodeToString(md[:])), SHA1: hex.EncodeToString(sh[:])}); err != nil {
		t.Errorf("right digests are refused: %v", err)
	}
}

func TestBounds(t *testing.T) {
	for _, test := range []struct {
		safe, restricted []string
		path             string
		want             bool
	}{
		{nil, nil, "/var/tmp/x", true},
		{nil, nil, "/var/tmpx", false},
		{nil, nil, "/etc/passwd", false},
		{[]string{"/a"}, nil, "/etc/passwd", true}, // nothing is restricted
		{[]string{"/a/b/"}, []string{"/a"}, "/a/b/c", true},
		{[]string{"/a/b"}, []string{"/a"}, "/a/c", false},
		{[]string{"/a/b"}, []string{"/a"}, "/c", true},
		{[]string{"relative", ""}, []string{"/"}, "/relative", false},
		{[]string{"/"}, nil, "/x", true},
	} {
		if got := newBounds(test.safe, test.restricted).allow(test.path); got != test.want {
			t.Errorf("safe %v, restricted %v: %s is allowed: %v", test.safe, test.restricted, test.path, got)
		}
	}
}

func TestDownload(t *testing.T) {
	content := strings.Repeat("w", 2*mb)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/image" {
			http.NotFound(w, r)
			return
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Log(err)
		}
	}))
	defer srv.Close()
	h := newHost(t, Config{HTTP: srv.Client()})
	got, err := h.ImportVerified(t.Context(), &agentapi.ImageSpec{ID: 1, DatastoreID: 1, Path: srv.URL + "/image"}, Sums{})
	if err != nil || got.SizeMB != 2 || read(t, got.Source) != content {
		t.Errorf("downloaded %+v, %v", got, err)
	}
	for name, spec := range map[string]agentapi.ImageSpec{
		"absent": {ID: 2, DatastoreID: 1, Path: srv.URL + "/other"},
		"limit":  {ID: 2, DatastoreID: 1, Path: srv.URL + "/image", LimitMB: 1},
		"closed": {ID: 2, DatastoreID: 1, Path: "http://127.0.0.1:1/image"},
	} {
		if got, err := h.ImportVerified(t.Context(), &spec, Sums{}); err == nil {
			t.Errorf("%s: downloaded %+v", name, got)
		}
	}
	noParts(t, h.cfg.Base)
}

func FuzzProbe(f *testing.F) {
	f.Add([]byte(""), int64(0))
	f.Add([]byte("QFI\xfb\x00\x00\x00\x03"), int64(8))
	f.Add([]byte("QFI\xfb\x00\x00\x00\x02"+strings.Repeat("\x10", 100)), int64(108))
	f.Add([]byte("KDMV"), int64(4))
	f.Fuzz(func(t *testing.T, head []byte, size int64) {
		i, err := probe(head, max(0, size))
		if err != nil {
			return
		}
		if i.Size < 0 || i.SizeMB() < 0 || checkFormat(i.Format) != nil {
			t.Errorf("probed %+v", i)
		}
		if i.Format == Qcow2 && (head[15]|head[19]) != 0 {
			t.Error("an image with a backing file passed")
		}
	})
}
