package contextdisk

import (
	"bytes"
	"fmt"
	"io"
	"time"

	"github.com/trifid-cloud/trifid/internal/contextdisk/iso9660"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// Label is the volume label by which guests find the disk.
const Label = "CONTEXT"

// Names of the files every guest knows.
const (
	ScriptName = "context.sh"
	TokenName  = "token.txt"
)

// secretMode is the mode of context.sh and token.txt: both hold secrets, and
// whoever contextualizes a guest is root. Windows guests read the Joliet tree,
// which has no modes.
const secretMode = 0o400

// File is one of the user's files, directories or links, with its path on the
// disk (see LocalFiles).
type File = iso9660.Entry

// Spec is the content of a context disk.
type Spec struct {
	Vars  tmpl.Vector // the CONTEXT of the VM, complete and decrypted
	Token string      // of the gate, without newline; "" if the VM has none
	Files []File      // none may be called context.sh or token.txt
	Time  time.Time   // borne by the volume and all files; the same time gives the same bytes
}

// Build writes the image to w and returns its length in bytes. File contents are
// streamed; each must have the size its File says. Errors name the file or
// variable at fault, never a value.
func Build(w io.Writer, s Spec) (int64, error) {
	im, err := plan(s)
	if err != nil {
		return 0, fmt.Errorf("planning the context disk: %w", err)
	}
	n, err := im.WriteTo(w)
	if err != nil {
		return n, fmt.Errorf("writing the context disk: %w", err)
	}
	return n, nil
}

func plan(s Spec) (*iso9660.Image, error) {
	script, err := Script(s.Vars)
	if err != nil {
		return nil, err
	}
	files := append(make([]File, 0, len(s.Files)+2), secret(ScriptName, script))
	if s.Token != "" {
		token, err := TokenFile(s.Token)
		if err != nil {
			return nil, err
		}
		files = append(files, secret(TokenName, token))
	}
	return iso9660.New(Label, s.Time, append(files, s.Files...))
}

func secret(name string, content []byte) File {
	return File{Path: name, Mode: secretMode, Size: int64(len(content)), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	}}
}
