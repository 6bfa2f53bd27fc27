package expr

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestRank(t *testing.T) {
	env := values{
		"RUNNING_VMS": {"4"}, "FREE_CPU": {"350"}, "FREE_MB": {"1000"}, "USED_LEASES": {"3"}, "PRIORITY": {"-1"},
		"LOAD": {"1.75"}, "NAME": {"node"}, "REPEATED": {"10", "20"}, "UNIT": {"12MB"}, "BIG": {"1e18"}, "A": {"2"}, "B": {"3"}, "C": {"4"},
	}
	tests := []struct {
		source string
		want   int64
	}{
		{"", 0}, {"  ", 0},
		// The policies' own.
		{"RUNNING_VMS", 4}, {"- RUNNING_VMS", -4}, {"-RUNNING_VMS", -4}, {"FREE_CPU", 350}, {"FREE_MB", 1000}, {"- FREE_MB", -1000},
		{"USED_LEASES", 3}, {"- USED_LEASES", -3}, {"PRIORITY", -1},

		{"5", 5}, {"-5", -5}, {"2.9", 2}, {"-2.9", -2}, {"LOAD", 1}, {"LOAD * 4", 7}, {"1 / 2 * 2", 1},
		{"A + B * C", 14}, {"(A + B) * C", 20}, {"A - B - C", -5}, {"24 / A / B", 4}, {"A * B + C", 10},
		{"A - -B", 5}, {"A--B", 5}, {"- - A", 2}, {"-(A + B)", -5}, {"-A + B", 1}, {"-A * B", -6}, {"2 * -A * B", -12}, {"2 * -A + B", -1},
		{"A -1", 1}, {"A-1", 1}, {"A - 1", 1}, {`"A" + 1`, 3},
		{"FREE_CPU * 0.5 - RUNNING_VMS * 10", 135},

		{"NOPE", 0}, {"NOPE + 7", 7}, {"NAME", 0}, {"REPEATED", 10}, {"UNIT", 12}, {`"" + 1`, 1},
		{"A / NOPE", 0}, {"-A / 0", 0}, {"0 / 0", 0},
		{"BIG * 100", math.MaxInt64}, {"-BIG * 100", math.MinInt64}, {"BIG", 1e18},
	}
	for _, tt := range tests {
		r, err := ParseRank(tt.source)
		if err != nil {
			t.Errorf("%q: %v", tt.source, err)
			continue
		}
		if got := r.Value(env); got != tt.want {
			t.Errorf("%q = %d, want %d", tt.source, got, tt.want)
		}
	}
	var none *Rank
	if none.Value(env) != 0 || none.Names() != nil {
		t.Error("a nil rank must be 0 and name nothing")
	}
}

func TestRankErrors(t *testing.T) {
	tests := []struct{ source, want string }{
		{"A +", "syntax error, unexpected end of file at line 1, columns 3:4"},
		{"* A", "syntax error, unexpected '*', expecting end of file at line 1, columns 1:2"},
		{"A B", "syntax error, unexpected STRING, expecting end of file at line 1, columns 3:4"},
		{"(A + 1", "syntax error, unexpected end of file at line 1, columns 6:7"},
		{"A ^ 2", "syntax error, unexpected '^', expecting end of file at line 1, columns 3:4"},
		{"A > 2", "syntax error, unexpected '>', expecting end of file at line 1, columns 3:4"},
		{"()", "syntax error, unexpected ')' at line 1, columns 2:3"},
		{"A % 2", `syntax error, unexpected character "%", expecting end of file at line 1, columns 3:4`},
		{strings.Repeat("-", 300) + "A", "expression is nested too deeply: at most 200 levels are allowed, at line 1, column 201"},
	}
	for _, tt := range tests {
		if _, err := ParseRank(tt.source); err == nil || err.Error() != tt.want {
			t.Errorf("%.40q:\n got %v\nwant %s", tt.source, err, tt.want)
		}
	}
}

func TestRankNames(t *testing.T) {
	r, err := ParseRank(`B + A * "X/Y" - B`)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"A", "B", "X/Y"}; !slices.Equal(r.Names(), want) {
		t.Errorf("Names() = %q, want %q", r.Names(), want)
	}
}

func FuzzRank(f *testing.F) {
	for _, s := range []string{"", "A + B * -C", "- RUNNING_VMS", "(1 + 2) / 0.0", "A-1", "1e9", `"x" * 3`, "((", "9999999999999999999999.5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		r, err := ParseRank(source)
		if err != nil {
			if _, ok := errors.AsType[*SyntaxError](err); !ok {
				t.Fatalf("%q: bad error %#v", source, err)
			}
			return
		}
		if v := r.Value(values{}); r.root == nil && v != 0 {
			t.Fatalf("%q = %d", source, v)
		}
	})
}

func TestLeadingFloat(t *testing.T) {
	tests := []struct {
		text string
		want float64
		ok   bool
	}{
		{"10x", 10, true}, {"abc", 0, false}, {"", 0, false}, {"  42 ", 42, true}, {"\n7", 7, true}, {"-3.5e2m", -350, true},
		{"1e", 1, true}, {"1e+", 1, true}, {"1.", 1, true}, {".5", 0.5, true}, {".", 0, false}, {"-", 0, false}, {"+4", 4, true},
		{"--4", 0, false}, {"1.2.3", 1.2, true}, {"0x10", 0, true}, {"1e999", math.Inf(1), true}, {"Inf", 0, false}, {"NaN", 0, false},
	}
	for _, tt := range tests {
		if got, ok := LeadingFloat(tt.text); got != tt.want || ok != tt.ok {
			t.Errorf("LeadingFloat(%q) = %v, %v; want %v, %v", tt.text, got, ok, tt.want, tt.ok)
		}
	}
}
