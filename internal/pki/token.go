package pki

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Token is what an agent needs to join: which authority to trust, and a secret
// that the server knows the hash of.
type Token struct {
	CA     [32]byte // SHA-256 of the authority's certificate
	Secret [32]byte
}

// tokenPrefix tells the form of the text that follows.
const tokenPrefix = "T1:"

// NewToken draws a token for a cluster.
func (ca *CA) NewToken() (Token, error) {
	t := Token{CA: ca.Fingerprint()}
	if _, err := rand.Read(t.Secret[:]); err != nil {
		return Token{}, fmt.Errorf("draw join token: %w", err)
	}
	return t, nil
}

// Text is the token as a user gets it: "T1:<SHA-256 of the authority's
// certificate, hex>:<secret, hex>". It is not called String so that no log
// prints it by accident.
func (t Token) Text() string {
	return tokenPrefix + hex.EncodeToString(t.CA[:]) + ":" + hex.EncodeToString(t.Secret[:])
}

// String hides the secret.
func (t Token) String() string { return tokenPrefix + hex.EncodeToString(t.CA[:]) + ":(secret)" }

// ParseToken reads the text of a token; blanks around it do not matter.
func ParseToken(text string) (Token, error) {
	var t Token
	rest, ok := strings.CutPrefix(strings.TrimSpace(text), tokenPrefix)
	ca, secret, two := strings.Cut(rest, ":")
	if !ok || !two || !decode(t.CA[:], ca) || !decode(t.Secret[:], secret) {
		return Token{}, errors.New("join token: expected T1:<64 hexadecimal digits>:<64 hexadecimal digits>")
	}
	return t, nil
}

func decode(dst []byte, text string) bool {
	if len(text) != hex.EncodedLen(len(dst)) {
		return false
	}
	_, err := hex.Decode(dst, []byte(text))
	return err == nil
}

// Hash is what a server keeps of the secret.
func (t Token) Hash() [32]byte { return HashSecret(t.Secret[:]) }

// HashSecret is the hash of a secret that was presented. A plain SHA-256 is
// enough: the secret has 256 random bits.
func HashSecret(secret []byte) [32]byte { return sha256.Sum256(secret) }

// Join is what a server keeps of a token. The caller keeps it where a check and
// the note of its use can be one transaction.
type Join struct {
	Hash    [32]byte  // of the secret
	Host    string    // the only host it is for, "" for any
	Expires time.Time // from then on it is refused
	UsedBy  [32]byte  // SHA-256 of the public key that has used it, zero before
}

// The reasons to refuse a token. A server tells the agent only that it was
// refused.
var (
	ErrTokenUnknown = errors.New("join token is not known")
	ErrTokenExpired = errors.New("join token has expired")
	ErrTokenUsed    = errors.New("join token was used before")
	ErrTokenHost    = errors.New("join token is for another host")
)

// Redeem finds the token of a secret among those a server knows and checks that
// the host may use it now. It returns its index; the caller notes key as UsedBy
// before the certificate leaves, in the transaction that read joins.
//
// A token is good for one key: an agent that lost the answer may ask again, with
// the key it had, until the token expires.
func Redeem(joins []Join, secret []byte, host string, key [32]byte, now time.Time) (int, error) {
	hash := HashSecret(secret)
	found := -1
	for i := range joins {
		// All are looked at, so that time tells nothing of which it was.
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(hash[:], joins[i].Hash[:]), i, found)
	}
	if found < 0 {
		return -1, ErrTokenUnknown
	}
	j := &joins[found]
	switch {
	case j.Host != "" && j.Host != host:
		return -1, ErrTokenHost
	case !now.Before(j.Expires):
		return -1, ErrTokenExpired
	case j.UsedBy != [32]byte{} && j.UsedBy != key:
		return -1, ErrTokenUsed
	}
	return found, nil
}
