package disk

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strings"
)

// Sums are the digests an import must have, in hexadecimal; "" is not checked.
// They guard against a file that was damaged on its way, not against an enemy.
type Sums struct{ MD5, SHA1 string }

func (s Sums) check(ctx context.Context, path string) error {
	for _, c := range []struct {
		name, want string
		new        func() hash.Hash
	}{{"MD5", s.MD5, md5.New}, {"SHA1", s.SHA1, sha1.New}} {
		if c.want == "" {
			continue
		}
		got, err := digest(ctx, path, c.new())
		if err != nil {
			return err
		}
		if !strings.EqualFold(got, c.want) {
			return fmt.Errorf("%s of the file is %s, expected %s", c.name, got, c.want)
		}
	}
	return nil
}

func digest(ctx context.Context, path string, h hash.Hash) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	for {
		if err := ended(ctx); err != nil {
			return "", err
		}
		_, err := io.CopyN(h, f, chunk)
		if errors.Is(err, io.EOF) {
			return hex.EncodeToString(h.Sum(nil)), nil
		}
		if err != nil {
			return "", err
		}
	}
}
