package expr

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// values is an Env made of name → values.
type values map[string][]string

func (v values) Values(name string) []string { return v[name] }

// host is what the expressions of the tables are evaluated over.
var host = values{
	"NAME":             {"node-01.example.org"},
	"HYPERVISOR":       {"kvm"},
	"ARCH":             {"x86_64"},
	"FREE_CPU":         {"350"},
	"FREE_MEM":         {"8388608"},
	"LOAD":             {"1.75"},
	"NEGATIVE":         {"-5"},
	"EMPTY":            {""},
	"ID":               {"4"},
	"CLUSTER_ID":       {"0"},
	"CLUSTERS/ID":      {"0", "100", "101"},
	"LABELS":           {"fast", "ssd", "rack-7"},
	"WEIGHTS":          {"1.5", "2.5"},
	"KVM_CPU_FEATURES": {"fpu,vmx,avx2"},
	"PIN_POLICY":       {"NONE"},
	"PATH":             {"a/b/.c"},
	"A":                {"1"},
	"B":                {"2"},
	"C":                {"3"},
	CurrentVMs:         {"7", "12", "130"},
}

func TestRequirements(t *testing.T) {
	tests := []struct {
		source string
		want   bool
	}{
		// Nothing asks for nothing.
		{"", true}, {"   ", true}, {"\t \n", true},

		// Integers.
		{"FREE_CPU = 350", true}, {"FREE_CPU = 351", false},
		{"FREE_CPU != 350", false}, {"FREE_CPU != 351", true},
		{"FREE_CPU > 349", true}, {"FREE_CPU > 350", false},
		{"FREE_CPU < 351", true}, {"FREE_CPU < 350", false},
		{"NEGATIVE = -5", true}, {"NEGATIVE < -4", true}, {"NEGATIVE > -6", true},
		{"FREE_CPU=350", true}, {"\tFREE_CPU\t=\t350", true},
		{"LOAD = 1", true}, // an integer constant reads the attribute as an integer
		{"LOAD > 1", false},
		{"NAME > 1", false}, {"NAME = 1", false}, {"NAME != 1", false}, // not a number

		// Floats.
		{"LOAD = 1.75", true}, {"LOAD != 1.75", false}, {"LOAD > 1.5", true}, {"LOAD < 1.5", false},
		{"FREE_CPU > 349.9", true}, {"NEGATIVE < -4.5", true}, {"NAME != 1.5", false},

		// Strings are patterns.
		{"HYPERVISOR = kvm", true}, {`HYPERVISOR = "kvm"`, true}, {"HYPERVISOR = KVM", false},
		{"HYPERVISOR != kvm", false}, {"HYPERVISOR != lxc", true},
		{`NAME = "node-*"`, true}, {`NAME = "node-??.example.org"`, true},
		{`NAME = "node-[0-9][!2-9].*"`, true}, {`NAME != "node-*"`, false}, {`NAME = "*.com"`, false},
		{`KVM_CPU_FEATURES = "*vmx*"`, true}, {`KVM_CPU_FEATURES = "*svm*"`, false},
		{`FREE_CPU = "350"`, true}, {`FREE_CPU = "3*"`, true}, {`FREE_CPU = "350.0"`, false},
		{`EMPTY = "*"`, true}, {"EMPTY = 0", false}, {"EMPTY != 0", false},

		// The empty string matches nothing, not even an empty attribute.
		{`EMPTY = ""`, false}, {`EMPTY != ""`, false}, {`HYPERVISOR != ""`, false}, {`LABELS @> ""`, false},
		{`!(HYPERVISOR = "")`, true},

		// An absent attribute makes the term false.
		{"NOPE = 1", false}, {"NOPE != 1", false}, {"NOPE > 1", false}, {"NOPE < 1", false}, {"NOPE @> 1", false},
		{`NOPE = "*"`, false}, {"NOPE != kvm", false}, {"NOPE != 1.0", false},
		{"!(NOPE = 1)", true}, {"!(PUBLIC_CLOUD = YES)", true},

		// Repeated attributes: @> looks at all of them, the others at the first.
		{`"CLUSTERS/ID" @> 100`, true}, {`"CLUSTERS/ID" @> 0`, true}, {`"CLUSTERS/ID" @> 7`, false},
		{`"CLUSTERS/ID" = 100`, false}, {`"CLUSTERS/ID" = 0`, true},
		{"LABELS @> ssd", true}, {`LABELS @> "rack-*"`, true}, {"LABELS @> slow", false}, {"LABELS = ssd", false},
		{"WEIGHTS @> 2.5", true}, {"WEIGHTS @> 2.4", false}, {"LABELS @> 1", false},
		{"LABELS @ > ssd", true},

		// Names.
		{`"FREE_CPU" > 10`, true}, {`"" = 1`, false}, {`free_cpu > 10`, false},

		// Machines on the host.
		{"CURRENT_VMS = 12", true}, {"CURRENT_VMS = 13", false}, {"CURRENT_VMS = 1", false},
		{"CURRENT_VMS != 12", false}, {"CURRENT_VMS != 13", true},
		{`CURRENT_VMS = "130"`, true}, {"CURRENT_VMS @> 130", true},
		{"(CURRENT_VMS != 1) & (CURRENT_VMS != 2)", true}, {"(CURRENT_VMS != 1) & (CURRENT_VMS != 7)", false},

		// Operators: one precedence, to the left; ! holds only what is next to it.
		{"A = 1 | A = 9 & A = 8", false}, // (A=1 | A=9) & A=8
		{"A = 8 & A = 9 | A = 1", true},
		{"A = 1 | (A = 9 & A = 8)", true},
		{"A = 1 & B = 2 & C = 3", true}, {"A = 1 & B = 2 & C = 4", false},
		{"!A = 9 & B = 9", false}, // (!A=9) & B=9
		{"!A = 1 | B = 2", true}, {"!(A = 1 | B = 2)", false}, {"!!A = 1", true}, {"! ! ! A = 1", false},
		{"A != 1", false}, {"A ! = 9", true}, {"((((A = 1))))", true},

		// What the server itself writes.
		{`(CLUSTER_ID = 0) & !(PUBLIC_CLOUD = YES) & !(PIN_POLICY = PINNED)`, true},
		{`(CLUSTER_ID = 1 | CLUSTER_ID = 0)`, true},
		{`!(PUBLIC_CLOUD = YES) | (PUBLIC_CLOUD = YES & (HYPERVISOR = ec2))`, true},
		{`CLUSTER_ID = 0 & !(PUBLIC_CLOUD = YES) | (PUBLIC_CLOUD = YES & (HYPERVISOR = ec2 | HYPERVISOR = kvm))`, true},
		{`("CLUSTERS/ID" @> 0)`, true}, {`("CLUSTERS/ID" @> 9 | "CLUSTERS/ID" @> 101)`, true},
		{`(KVM_CPU_FEATURES = "*avx2*")`, true}, {`ID=4`, true}, {`PUBLIC_CLOUD = YES`, false},
		{`(ID = 4 | ID = 5) & (CURRENT_VMS = 7)`, true}, {`(ID != 4 & ID != 5)`, false},

		// Written over several lines.
		{"A = 1 &\n B = 2 &\r\n C = 3", true},
	}
	for _, tt := range tests {
		r, err := ParseRequirements(tt.source)
		if err != nil {
			t.Errorf("%q: %v", tt.source, err)
			continue
		}
		if got := r.Match(host); got != tt.want {
			t.Errorf("%q = %v, want %v", tt.source, got, tt.want)
		}
	}
}

func TestRequirementsOnEmptyHost(t *testing.T) {
	for source, want := range map[string]bool{
		"CURRENT_VMS != 7":    true,
		"CURRENT_VMS = 7":     false,
		"!(CURRENT_VMS = 7)":  true,
		`CURRENT_VMS != "7"`:  true,
		"CURRENT_VMS > 1":     false,
		"CURRENT_VMS != 7.0":  false,
		"HYPERVISOR != kvm":   false,
		"!(HYPERVISOR = kvm)": true,
	} {
		r, err := ParseRequirements(source)
		if err != nil {
			t.Fatalf("%q: %v", source, err)
		}
		if got := r.Match(values{}); got != want {
			t.Errorf("%q = %v, want %v", source, got, want)
		}
	}
}

func TestRequirementsErrors(t *testing.T) {
	tests := []struct{ source, want string }{
		{"A =", "syntax error, unexpected end of file, expecting INTEGER or STRING or FLOAT at line 1, columns 3:4"},
		{"A = ", "syntax error, unexpected end of file, expecting INTEGER or STRING or FLOAT at line 1, columns 4:5"},
		{"A", "syntax error, unexpected end of file at line 1, columns 1:2"},
		{"A B", "syntax error, unexpected STRING at line 1, columns 3:4"},
		{"A = 1 B = 2", "syntax error, unexpected STRING, expecting end of file at line 1, columns 7:8"},
		{"= 1", "syntax error, unexpected '=', expecting end of file at line 1, columns 1:2"},
		{"5 = A", "syntax error, unexpected INTEGER, expecting end of file at line 1, columns 1:2"},
		{"(= 1)", "syntax error, unexpected '=', expecting '!' or STRING or '(' at line 1, columns 2:3"},
		{"A = 1 &", "syntax error, unexpected end of file, expecting '!' or STRING or '(' at line 1, columns 7:8"},
		{"A = 1 && B = 2", "syntax error, unexpected '&', expecting '!' or STRING or '(' at line 1, columns 8:9"},
		{"A == 1", "syntax error, unexpected '=', expecting INTEGER or STRING or FLOAT at line 1, columns 4:5"},
		{"A >= 1", "syntax error, unexpected '=', expecting INTEGER or FLOAT at line 1, columns 4:5"},
		{"A > kvm", "syntax error, unexpected STRING, expecting INTEGER or FLOAT at line 1, columns 5:8"},
		{`A < "3"`, "syntax error, unexpected STRING, expecting INTEGER or FLOAT at line 1, columns 5:8"},
		{"A ! 1", "syntax error, unexpected INTEGER, expecting '=' at line 1, columns 5:6"},
		{"A @ 1", "syntax error, unexpected INTEGER, expecting '>' at line 1, columns 5:6"},
		{"(A = 1", "syntax error, unexpected end of file, expecting '&' or '|' or ')' at line 1, columns 6:7"},
		{"(A = 1 B", "syntax error, unexpected STRING, expecting '&' or '|' or ')' at line 1, columns 8:9"},
		{"A = 1)", "syntax error, unexpected ')', expecting end of file at line 1, columns 6:7"},
		{"A = - 1", "syntax error, unexpected '-', expecting INTEGER or STRING or FLOAT at line 1, columns 5:6"},
		{"A = *x*", "syntax error, unexpected '*', expecting INTEGER or STRING or FLOAT at line 1, columns 5:6"},
		{"A = node-1", "syntax error, unexpected INTEGER, expecting end of file at line 1, columns 9:11"},
		{"A = 1 &\n= 2", "syntax error, unexpected '=', expecting '!' or STRING or '(' at line 2, columns 9:10"},
		{"NAME ~ foo", `syntax error, unexpected character "~" at line 1, columns 6:7`},
		{`A = "open`, `syntax error, unexpected character "\"", expecting INTEGER or STRING or FLOAT at line 1, columns 5:6`},
		{"A = 99999999999999999999", "integer 99999999999999999999 is out of range at line 1, columns 5:25"},
		{`A = "*` + strings.Repeat("x", MaxPattern) + `"`, "pattern is too long: 1025 bytes, at most 1024 are allowed at line 1, columns 5:1032"},
		{strings.Repeat("(", MaxDepth+1), "expression is nested too deeply: at most 200 levels are allowed, at line 1, column 201"},
		{strings.Repeat("!", MaxSource), "expression is nested too deeply: at most 200 levels are allowed, at line 1, column 201"},
		{strings.Repeat(" ", MaxSource+1), "expression is too long: 65537 bytes, at most 65536 are allowed"},
	}
	for _, tt := range tests {
		source := tt.source
		if len(source) > 40 {
			source = source[:40] + "…"
		}
		_, err := ParseRequirements(tt.source)
		if _, ok := errors.AsType[*SyntaxError](err); !ok {
			t.Errorf("%q: error %v, want a *SyntaxError", source, err)
			continue
		}
		if err.Error() != tt.want {
			t.Errorf("%q:\n got %s\nwant %s", source, err, tt.want)
		}
	}
}

// A long chain is not deep: the server writes one term a peer.
func TestRequirementsLongChain(t *testing.T) {
	source := "CURRENT_VMS != 1" + strings.Repeat(" & CURRENT_VMS != 1", (MaxSource-16)/19)
	r, err := ParseRequirements(source)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Match(values{CurrentVMs: {"2"}}) || r.Match(values{CurrentVMs: {"1"}}) {
		t.Error("wrong result")
	}
}

func TestNames(t *testing.T) {
	r, err := ParseRequirements(`B = 1 & ("CLUSTERS/ID" @> 3 | A = B) & B = 2`)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"A", "B", "CLUSTERS/ID"}; !slices.Equal(r.Names(), want) {
		t.Errorf("Names() = %q, want %q", r.Names(), want)
	}
	var none *Requirements
	if !none.Match(values{}) || none.Names() != nil {
		t.Error("a nil condition must be met and name nothing")
	}
}

func FuzzRequirements(f *testing.F) {
	for _, s := range []string{
		"", "A = 1", `!(PUBLIC_CLOUD = YES) & ("CLUSTERS/ID" @> 0 | B != "x[a-z]*")`, "A > -1.5 | B < 3", `A = ""`,
		"A ! = 1", "((A=1)", "A = 1 &\n", `"`, "A = [", "CURRENT_VMS != 7",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		r, err := ParseRequirements(source)
		if err != nil {
			var se *SyntaxError
			if !errors.As(err, &se) || se.Offset < 0 || se.Offset > len(source) {
				t.Fatalf("%q: bad error %#v", source, err)
			}
			return
		}
		met := r.Match(host)
		// Negation is exact: the language has no third truth value.
		if strings.TrimLeft(source, " \t\r\n") == "" || strings.Count(source, "(") >= MaxDepth/2 || strings.Count(source, "!") >= MaxDepth/2 {
			return
		}
		n, err := ParseRequirements("!(" + source + ")")
		if err != nil {
			if len(source)+3 > MaxSource {
				return
			}
			t.Fatalf("!(%q): %v", source, err)
		}
		if n.Match(host) == met {
			t.Fatalf("%q and its negation are both %v", source, met)
		}
	})
}

func BenchmarkRequirementsMatch(b *testing.B) {
	r, err := ParseRequirements(`(CLUSTER_ID = 0) & !(PUBLIC_CLOUD = YES) & !(PIN_POLICY = PINNED) & (HYPERVISOR = kvm) & NAME = "node-*" & FREE_CPU > 100`)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if !r.Match(host) {
			b.Fatal("not met")
		}
	}
}

func BenchmarkParseRequirements(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseRequirements(`(CLUSTER_ID = 0) & !(PUBLIC_CLOUD = YES) & !(PIN_POLICY = PINNED)`); err != nil {
			b.Fatal(err)
		}
	}
}
