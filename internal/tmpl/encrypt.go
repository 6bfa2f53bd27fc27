package tmpl

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
)

// Encrypt returns a template in which the attributes of the list (NAME or
// VECTOR/SUB) are base64 of their AES-256-CBC encryption under the first 32
// characters of key, with an initial vector of zeros. A value that decrypts
// under that key is one already and stays as it is; so does an empty
// sub-attribute. Source: XML-RPC reference §9.7.
func Encrypt(t *Template, list []string, key string) (*Template, error) {
	if !hasAny(t, list) {
		return t, nil
	}
	block, err := newBlock(key)
	if err != nil {
		return nil, fmt.Errorf("encrypt attributes: %w", err)
	}
	return mapEntries(t, list, func(value string) string {
		if _, ok := decryptValue(block, value); ok {
			return value
		}
		return encryptValue(block, value)
	})
}

// Decrypt undoes Encrypt. A value that does not decrypt stays as it is.
func Decrypt(t *Template, list []string, key string) (*Template, error) {
	if !hasAny(t, list) {
		return t, nil
	}
	block, err := newBlock(key)
	if err != nil {
		return nil, fmt.Errorf("decrypt attributes: %w", err)
	}
	return mapEntries(t, list, func(value string) string {
		if plain, ok := decryptValue(block, value); ok {
			return plain
		}
		return value
	})
}

// hasAny tells whether a template has an attribute that an entry of the list may
// mean: hardly any has.
func hasAny(t *Template, list []string) bool {
	return slices.ContainsFunc(list, func(entry string) bool {
		name, _, _ := strings.Cut(entry, "/")
		return t.Has(name)
	})
}

const keyBytes = 32 // of AES-256

func newBlock(key string) (cipher.Block, error) {
	if len(key) < keyBytes {
		return nil, fmt.Errorf("the key has %d characters, expected at least %d", len(key), keyBytes)
	}
	return aes.NewCipher([]byte(key[:keyBytes]))
}

// mapEntries returns a template with the values of the list changed by f.
func mapEntries(t *Template, list []string, f func(string) string) (*Template, error) {
	entries, err := parseEntries(list)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !t.Has(e.name) {
			continue
		}
		var changed []Attr
		for _, a := range t.Named(e.name) {
			if !a.IsVector() && e.whole {
				a.Value = f(a.Value)
			}
			for _, sub := range e.subs {
				if value := a.Vector.Get(sub); value != "" {
					a.Vector = a.Vector.With(sub, f(value))
				}
			}
			changed = append(changed, a)
		}
		t = t.Replace(e.name, changed...)
	}
	return t, nil
}

func encryptValue(block cipher.Block, plain string) string {
	pad := aes.BlockSize - len(plain)%aes.BlockSize // PKCS #7: never 0
	data := make([]byte, len(plain)+pad)
	copy(data, plain)
	for i := len(plain); i < len(data); i++ {
		data[i] = byte(pad)
	}
	cipher.NewCBCEncrypter(block, make([]byte, aes.BlockSize)).CryptBlocks(data, data)
	return base64.StdEncoding.EncodeToString(data)
}

// decryptValue tells whether a value is one of encryptValue's, and what it was.
// Padding alone would take one random block in 256 for one; a plain value is
// text besides, and random blocks are not.
func decryptValue(block cipher.Block, value string) (string, bool) {
	data, err := base64.StdEncoding.DecodeString(value)
	if err != nil || len(data) == 0 || len(data)%aes.BlockSize != 0 {
		return "", false
	}
	cipher.NewCBCDecrypter(block, make([]byte, aes.BlockSize)).CryptBlocks(data, data)
	pad := int(data[len(data)-1])
	if pad == 0 || pad > aes.BlockSize {
		return "", false
	}
	for _, c := range data[len(data)-pad:] {
		if int(c) != pad {
			return "", false
		}
	}
	plain := string(data[:len(data)-pad])
	if at, _ := badChar(plain); at >= 0 {
		return "", false
	}
	return plain, true
}
