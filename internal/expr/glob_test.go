package expr

import (
	"path"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestGlob(t *testing.T) {
	tests := []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"", "a", false}, {"abc", "abc", true}, {"abc", "abd", false}, {"abc", "ab", false},
		{"*", "", true}, {"*", "anything", true}, {"**", "x", true}, {"a*", "a", true}, {"*a", "ba", true},
		{"a*b*c", "aXbYc", true}, {"a*b*c", "aXbY", false}, {"*ab", "aab", true}, {"*aab", "aaaab", true},
		{"?", "", false}, {"?", "x", true}, {"?", "é", true}, {"??", "é", false}, {"?*", "", false},
		{"*", "a/b", true}, {"*", ".hidden", true}, {"a?b", "a/b", true},
		{"[abc]", "b", true}, {"[abc]", "d", false}, {"[a-c]x", "bx", true}, {"[!a-c]", "b", false}, {"[^a-c]", "d", true},
		{"[]a]", "]", true}, {"[!]a]", "]", false}, {"[a-]", "-", true}, {"[-a]", "-", true}, {"[a-", "[a-", true},
		{"[", "[", true}, {"a[", "a[", true}, {"[]", "[]", true}, {"[!]", "[!]", true},
		{"[[:digit:]]", "7", true}, {"[[:digit:]]", "x", false}, {"[[:alpha:]_]", "_", true}, {"[![:space:]]", " ", false},
		{"[[:nope:]]", "n", false}, {"[[:digit]", ":", true}, {"[à-ü]", "é", true},
		{`\*`, "*", true}, {`\*`, "x", false}, {`a\?`, "a?", true}, {`a\`, "a", false}, {`a\`, `a\`, false}, {`[\]]`, "]", true},
		{`\a`, "a", true},
		{"\xff", "\xff", true}, {"\xff*", "\xfe", false}, {"*\xff", "a\xff", true},
	}
	for _, tt := range tests {
		if got := newGlob(tt.pattern).match(tt.s); got != tt.want {
			t.Errorf("glob %q on %q = %v, want %v", tt.pattern, tt.s, got, tt.want)
		}
	}
}

// Going back to the last star only must keep this from taking for ever.
func TestGlobIsNotExponential(t *testing.T) {
	if newGlob(strings.Repeat("a*", 400) + "b").match(strings.Repeat("a", 4000)) {
		t.Error("matched")
	}
}

// Where both know the pattern, path.Match must agree (it stops at slashes and
// refuses broken brackets, so those are left out).
func FuzzGlob(f *testing.F) {
	for _, s := range [][2]string{{"a*b", "axxb"}, {"[a-c]?*", "bx"}, {`\*[^x]`, "*y"}, {"[", "["}, {"[[:alpha:]]", "q"}, {"[a-", "a"}, {`[\`, `\`}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if len(pattern) > MaxPattern {
			return
		}
		got := newGlob(pattern).match(s)
		if strings.Contains(s, "/") || !utf8.ValidString(s) || strings.Contains(pattern, "[") {
			return
		}
		if want, err := path.Match(pattern, s); err == nil && got != want {
			t.Fatalf("glob %q on %q = %v, path.Match says %v", pattern, s, got, want)
		}
	})
}
