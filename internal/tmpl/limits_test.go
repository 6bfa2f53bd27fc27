package tmpl_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/tmpl"
)

func TestSizeLimit(t *testing.T) {
	const limit = "the limit is 67108864"
	for _, start := range []string{"A=1\n", "<T>"} {
		big := start + strings.Repeat(" ", 100<<20)
		if _, err := tmpl.Parse(big); err == nil || !strings.Contains(err.Error(), limit) {
			t.Errorf("100 MiB from %q: %v", start, err)
		}
		if allocs := testing.AllocsPerRun(10, func() { _, _ = tmpl.Parse(big) }); allocs > 10 {
			t.Errorf("%v allocations to refuse what is too big by its length", allocs)
		}
	}
	fits := "A=1" + strings.Repeat("\n", tmpl.MaxBytes-3)
	if _, err := tmpl.Parse(fits); err != nil {
		t.Errorf("%d bytes: %v", len(fits), err)
	}
	if _, err := tmpl.Parse(fits + "\n"); err == nil {
		t.Errorf("%d bytes accepted", len(fits)+1)
	}
}

func TestAttributeLimit(t *testing.T) {
	n := tmpl.MaxAttributes
	tests := []struct {
		name string
		make func(n int) string
	}{
		{"text", func(n int) string { return strings.Repeat("A=1\n", n) }},
		{"text vector", func(n int) string { return "A=[" + strings.Repeat("B=1,", n-2) + "B=1]" }},
		{"xml", func(n int) string { return "<T>" + strings.Repeat("<A>1</A>", n-1) + "</T>" }},
		{"xml, dropped levels", func(n int) string { return "<T><A><B>" + strings.Repeat("<C/>", n-3) + "</B></A></T>" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := tmpl.Parse(tt.make(n)); err != nil {
				t.Errorf("%d: %v", n, err)
			}
			want := fmt.Sprintf("Parse error: the template has more than %d attributes", n)
			if _, err := tmpl.Parse(tt.make(n + 1)); err == nil || err.Error() != want {
				t.Errorf("%d: got %v, want %s", n+1, err, want)
			}
		})
	}
}

// Input made to hurt: each of these takes a parser that looks ahead without
// care time in the square of its length. At these sizes that would be hours;
// the test binary's own deadline is the failure.
func TestHostileInput(t *testing.T) {
	const n = 1 << 20
	for name, in := range map[string]string{
		"hashes without a line end":    strings.Repeat("# ", n),
		"hashes behind a name":         "A" + strings.Repeat("#", n),
		"quotes":                       `A=` + strings.Repeat(`"`, n),
		"escaped quotes":               `A="` + strings.Repeat(`\"`, n),
		"open values":                  strings.Repeat(`A="\"`, n/4),
		"blanks before nothing":        strings.Repeat(" \n", n) + ";",
		"stray characters":             strings.Repeat(";", n),
		"descending names":             descending(50_000),
		"descending names in a vector": "V=[" + strings.ReplaceAll(strings.TrimSpace(descending(50_000)), "\n", ",") + "]",
		"xml references":               "<T><A>" + strings.Repeat("&amp;", n/4) + "</A></T>",
		"xml open references":          "<T><A>" + strings.Repeat("&", n) + "</A></T>",
		"xml text in many runs":        "<T><A>" + strings.Repeat("x<!---->", n/8) + "</A></T>",
		"xml open comments":            "<T>" + strings.Repeat("<!--", n/4),
		"xml attributes":               "<T " + strings.Repeat("a='' ", n/4) + "/>",
		"xml open tags":                strings.Repeat("<", n),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tmpl.Parse(in)
			if (got == nil) == (err == nil) {
				t.Errorf("template %v, error %v", got != nil, err)
			}
		})
	}
}

func descending(n int) string {
	var b strings.Builder
	for i := n; i > 0; i-- {
		fmt.Fprintf(&b, "N%06d=1\n", i)
	}
	return b.String()
}

func TestMergeOfManyNames(t *testing.T) {
	a, err := tmpl.Parse(descending(100_000))
	if err != nil {
		t.Fatal(err)
	}
	if got := a.Merge(a); !got.Equal(a) {
		t.Error("merging a template with itself changed it")
	}
}
