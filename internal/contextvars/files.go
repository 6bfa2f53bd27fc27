package contextvars

import (
	"strconv"
	"strings"

	"github.com/trifid-cloud/trifid/internal/errs"
)

// maxFiles bounds the references of one FILES_DS.
const maxFiles = 1000

// FileRef names an image of a file datastore.
type FileRef struct {
	ID    int    // the image's id, or -1 if it goes by name
	Name  string // the image's name
	UID   int    // of the image's owner, -1 if not given
	UName string // of the image's owner, "" if not given
}

// ParseFiles reads the references of FILES_DS, KERNEL_DS or INITRD_DS:
// $FILE[IMAGE_ID=n], $FILE[IMAGE="name"], $FILE[IMAGE="name", IMAGE_UNAME="u"] or
// with IMAGE_UID, separated by blanks. Source: OneGate reference §5.4.
func ParseFiles(text string) ([]FileRef, error) {
	text = strings.TrimLeft(text, " \t\n\v\f\r")
	if len(text) > MaxText {
		return nil, FileError(text, errTooLong.Error())
	}
	l := &lexer{text: text}
	var out []FileRef
	expected := []kind{variable}
	for {
		t := l.next()
		switch {
		case t.kind == end:
			return out, nil
		case t.kind == raw && len(out) > 0 && strings.TrimSpace(t.text) == "":
			continue // more blanks than one; the reference refuses them
		}
		if err := l.check(t, expected...); err != nil {
			return nil, FileError(text, err.Error())
		}
		expected = []kind{end, variable}
		r, err := l.fileReference(t)
		if err != nil {
			return nil, FileError(text, err.Error())
		}
		f, reason := fileRef(r)
		if reason != "" {
			return nil, FileError(text, reason)
		}
		if len(out) == maxFiles {
			return nil, FileError(text, "more than 1000 files")
		}
		out = append(out, f)
	}
}

// fileRef gives the reference its meaning, or the reason why it has none.
func fileRef(r reference) (f FileRef, reason string) {
	f = FileRef{ID: -1, UID: -1}
	switch {
	case r.name != "FILE":
		return f, "Must use FILE variable for attribute."
	case r.key == "IMAGE_ID":
		id, err := strconv.Atoi(r.value)
		if err != nil || id < 0 {
			return f, "Image with ID: " + clip(r.value) + " does not exist"
		}
		f.ID = id
		return f, ""
	case r.key != "IMAGE":
		return f, "Cannot get image, set IMAGE_ID or IMAGE."
	}
	f.Name = r.value
	switch r.key2 {
	case "IMAGE_UID":
		// What is no number is as if it were not there, as in the reference.
		if uid, err := strconv.Atoi(r.value2); err == nil {
			f.UID = uid
		}
	case "IMAGE_UNAME":
		f.UName = r.value2
	}
	return f, ""
}

// FileError words the refusal of a text of file references, also for reasons
// only the caller can find, such as "User not authorize to use image.".
func FileError(text, reason string) error {
	return errs.New(errs.Internal, "Error parsing: %s. %s", clip(text), reason)
}

// FileImage is an image that a FILES_DS refers to.
type FileImage struct {
	ID      int
	Name    string
	Source  string // where its datastore keeps it
	Context bool   // it is of type CONTEXT
	Ready   bool   // it is in state READY
}

// StoreFiles renders FILES_DS as the VM keeps it, <source>:'<image name>' and a
// blank for each image. Source: OneGate reference §5.4.
func StoreFiles(images []FileImage) (string, error) {
	var b strings.Builder
	for _, im := range images {
		if !im.Context {
			return "", errs.New(errs.Internal, "Only images of type CONTEXT can be used in FILE_DS attribute.")
		}
		if !im.Ready {
			return "", errs.New(errs.Internal, "CONTEXT Image '%d' not in READY state.", im.ID)
		}
		b.WriteString(im.Source + ":'" + im.Name + "' ")
	}
	return b.String(), nil
}
