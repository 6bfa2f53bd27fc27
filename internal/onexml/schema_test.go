package onexml_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// specDir returns the directory with the original's schemas, "" where there is
// none: they are no part of the project.
func specDir() string {
	dirs := []string{filepath.Join("..", "..", "..", "shared", "spec")}
	if env := os.Getenv("TRIFID_SPEC"); env != "" {
		dirs = []string{env}
	}
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, "xsd", "vm.xsd")); err == nil {
			return dir
		}
	}
	return ""
}

var (
	rootTag  = regexp.MustCompile(`^<[A-Z_]+`)
	dsOfHost = regexp.MustCompile(`<DS>.*?</DS>`)
	lockOfVM = regexp.MustCompile(`<LOCK>.*?</LOCK>`)
	aliases  = regexp.MustCompile(`<NIC_ALIAS>.*?</NIC_ALIAS>`)
	static6  = regexp.MustCompile(`<IP6>.*?</IP6>|<PREFIX_LENGTH>.*?</PREFIX_LENGTH>`)
)

// forSchema returns a document as its schema wants it: in the namespace that
// real documents do not name, and without what real documents have though the
// schemas do not know it.
func forSchema(doc document) []byte {
	text := doc.text
	switch doc.schema {
	case "host", "host_pool":
		text = dsOfHost.ReplaceAll(text, nil)
	case "vm_pool":
		text = aliases.ReplaceAll(lockOfVM.ReplaceAll(text, nil), nil)
	case "vnet":
		text = static6.ReplaceAll(text, nil)
	case "vnet_pool":
		text = static6.ReplaceAll(lockOfVM.ReplaceAll(text, nil), nil)
	case "acct":
		text = lockOfVM.ReplaceAll(text, nil)
	}
	return rootTag.ReplaceAllFunc(text, func(root []byte) []byte {
		return append(bytes.Clone(root), ` xmlns="http://opennebula.org/XMLSchema"`...)
	})
}

// TestSchemas validates every document against the original's XSD, one run of
// xmllint for each schema.
func TestSchemas(t *testing.T) {
	dir := specDir()
	lint, err := exec.LookPath("xmllint")
	if dir == "" || err != nil {
		t.Log("NOT CHECKED: documents against the original's schemas. It needs xmllint, and TRIFID_SPEC to name the directory of xsd/")
		t.Skip("no schemas or no xmllint")
	}
	files := map[string][]string{}
	tmp := t.TempDir()
	for _, doc := range documents(t) {
		if doc.schema == "" {
			continue
		}
		path := filepath.Join(tmp, doc.name+".xml")
		if err := os.WriteFile(path, forSchema(doc), 0o600); err != nil {
			t.Fatal(err)
		}
		files[doc.schema] = append(files[doc.schema], path)
	}
	for schema, paths := range files {
		slices.Sort(paths)
		args := append([]string{"--noout", "--schema", filepath.Join(dir, "xsd", schema+".xsd")}, paths...)
		if out, err := exec.Command(lint, args...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", schema, err, out)
		}
	}
}
