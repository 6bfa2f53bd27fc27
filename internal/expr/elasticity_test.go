package expr

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func means(m map[string]float64) func(string) (float64, bool) {
	return func(name string) (float64, bool) {
		v, ok := m[name]
		return v, ok
	}
}

func TestElasticity(t *testing.T) {
	averages := means(map[string]float64{
		"ATT": 45, "CPU": 84.5, "HALF": 52.5, "THIRD": 100.0 / 3, "ZERO": 0, "TINY": 0.00004, "NEG": -2.345, "HUGE": 1e17,
		"A": 1, "B": 2, "FIVE": 4.999,
	})
	tests := []struct {
		source    string
		want      bool
		rendering string
	}{
		// The reference's own examples.
		{"ATT > 50", false, "ATT[45.0] > 50"},
		{"NOPE > 1", false, "NOPE[--] > 1"},
		{"!(NOPE > 1)", true, "!(NOPE[--] > 1)"},
		{"CPU > 80", true, "CPU[84.5] > 80"},
		{"1=2 && 2=3 || 3=3", false, "1 = 2 && 2 = 3 || 3 = 3"},
		{"HALF > 50", true, "HALF[52.5] > 50"},
		{"ATT < 20", false, "ATT[45.0] < 20"},

		// Grouping to the right.
		{"1=1 || 1=2 && 1=2", true, "1 = 1 || 1 = 2 && 1 = 2"},
		{"(1=2 && 2=3) || 3=3", true, "(1 = 2 && 2 = 3) || 3 = 3"},
		{"1=1 & 1=2 | 1=1", true, "1 = 1 & 1 = 2 | 1 = 1"},
		// ! takes everything to its right.
		{"!1=2 && 1=2", true, "!1 = 2 && 1 = 2"},
		{"(!1=2) && 1=2", false, "(!1 = 2) && 1 = 2"},
		{"!(1=2) && 1=2", true, "!(1 = 2) && 1 = 2"},
		{"1=1 && !1=2 || 1=1", false, "1 = 1 && !1 = 2 || 1 = 1"},
		{"!!1=1", true, "!!1 = 1"}, {"! ( 1 = 1 )", false, "!(1 = 1)"},

		// Both sides are always evaluated, hence shown.
		{"1=2 && ATT > 1", false, "1 = 2 && ATT[45.0] > 1"},
		{"1=1 || ATT > 1", true, "1 = 1 || ATT[45.0] > 1"},

		// Comparators.
		{"A == 1", true, "A[1.0] == 1"}, {"A = 1", true, "A[1.0] = 1"}, {"A = 1.0", true, "A[1.0] = 1.0"},
		{"A != 1", false, "A[1.0] != 1"}, {"A <> 2", true, "A[1.0] <> 2"},
		{"A >= 1", true, "A[1.0] >= 1"}, {"A <= 1", true, "A[1.0] <= 1"}, {"A < B", true, "A[1.0] < B[2.0]"}, {"A > B", false, "A[1.0] > B[2.0]"},
		{"3 > 2", true, "3 > 2"}, {"A=1&B=2", true, "A[1.0] = 1 & B[2.0] = 2"},

		// Unknown on either side is false, whatever the comparator.
		{"NOPE != 1", false, "NOPE[--] != 1"}, {"1 != NOPE", false, "1 != NOPE[--]"}, {"NOPE = NOPE", false, "NOPE[--] = NOPE[--]"},

		// Quoted names parse and are never found.
		{`"ATT" > 1`, false, `"ATT"[--] > 1`}, {"'att' > 1", false, "'ATT'[--] > 1"},

		// Names are upper-cased, averages rounded, numbers normalised.
		{"att > 50", false, "ATT[45.0] > 50"}, {"THIRD = 33.33", true, "THIRD[33.33] = 33.33"}, {"FIVE = 5", true, "FIVE[5.0] = 5"},
		{"NEG < -2.34", true, "NEG[-2.35] < -2.34"}, {"TINY = 0", true, "TINY[0.0] = 0"}, {"ZERO = -0", true, "ZERO[0.0] = 0"},
		{"HUGE > 007", true, "HUGE[1.0e+17] > 7"}, {"ZERO < 1.50", true, "ZERO[0.0] < 1.5"}, {"ZERO < 0.00001", true, "ZERO[0.0] < 1.0e-05"},
		{"ZERO > -0012", true, "ZERO[0.0] > -12"}, {"A < 12345678901234567890", true, "A[1.0] < 12345678901234567890"},
		{"   A   <   2   ", true, "A[1.0] < 2"},
	}
	for _, tt := range tests {
		e, err := ParseElasticity(tt.source)
		if err != nil {
			t.Errorf("%q: %v", tt.source, err)
			continue
		}
		got, rendering := e.Eval(averages)
		if got != tt.want || rendering != tt.rendering {
			t.Errorf("%q = %v %q, want %v %q", tt.source, got, rendering, tt.want, tt.rendering)
		}
	}
}

func TestElasticityErrors(t *testing.T) {
	const start = `' ', '-', [0-9], '"', '\'', [a-zA-Z], '!', '('`
	const comparator = `'==', '=', '!=', '<>', '>=', '>', '<=', '<'`
	tests := []struct{ source, want string }{
		// The reference's own example, with the list it abbreviates.
		{"A", "Expected one of [0-9a-zA-Z_], ' ', " + comparator + " at line 1, column 2 (byte 2) after A"},

		{"", "Expected one of " + start + " at line 1, column 1 (byte 1)"},
		{"  ", "Expected one of " + start + " at line 1, column 3 (byte 3) after   "},
		{"_X > 1", "Expected one of " + start + " at line 1, column 1 (byte 1)"},
		{"ATT + 1 > 5", "Expected one of ' ', " + comparator + " at line 1, column 5 (byte 5) after ATT "},
		{".5 > 1", "Expected one of " + start + " at line 1, column 1 (byte 1)"},
		{"5. > 1", "Expected [0-9] at line 1, column 3 (byte 3) after 5."},
		{"A > 5.", "Expected [0-9] at line 1, column 7 (byte 7) after ."},
		{"1e3 > 1", "Expected one of [0-9], '.', ' ', " + comparator + " at line 1, column 2 (byte 2) after 1"},
		{"1.5x > 1", "Expected one of [0-9], ' ', " + comparator + " at line 1, column 4 (byte 4) after 1.5"},
		{"A\t> 1", "Expected one of [0-9a-zA-Z_], ' ', " + comparator + " at line 1, column 2 (byte 2) after A"},
		{"A > 1\n", "Expected one of [0-9], '.', ' ', '&&', '&', '||', '|' at line 1, column 6 (byte 6) after "},
		{"A > 1 B", "Expected one of ' ', '&&', '&', '||', '|' at line 1, column 7 (byte 7) after "},
		{"A > 1 &", "Expected one of " + start + " at line 1, column 8 (byte 8) after &"},
		{"A > 1 && B", "Expected one of [0-9a-zA-Z_], ' ', " + comparator + " at line 1, column 11 (byte 11) after && B"},
		{"A > 1 & & B", "Expected one of " + start + " at line 1, column 9 (byte 9) after & "},
		{"(A > 1", "Expected one of [0-9], '.', ' ', '&&', '&', '||', '|', ')' at line 1, column 7 (byte 7) after (A > 1"},
		{"(A > 1) B", "Expected one of ' ', '&&', '&', '||', '|' at line 1, column 9 (byte 9) after "},
		{"A > 1)", "Expected one of [0-9], '.', ' ', '&&', '&', '||', '|' at line 1, column 6 (byte 6) after "},
		{"(A) > 1", "Expected one of [0-9a-zA-Z_], ' ', " + comparator + " at line 1, column 3 (byte 3) after (A"},
		{"A > ", `Expected one of ' ', '-', [0-9], '"', '\'', [a-zA-Z] at line 1, column 5 (byte 5) after A > `},
		{"A > !B", `Expected one of ' ', '-', [0-9], '"', '\'', [a-zA-Z] at line 1, column 5 (byte 5) after A > `},
		{"A > - 1", "Expected one of [0-9] at line 1, column 6 (byte 6) after A > -"},
		{"-A > 1", "Expected one of [0-9] at line 1, column 2 (byte 2) after -"},
		{`"A > 1`, `Expected one of [0-9a-zA-Z_], '"' at line 1, column 3 (byte 3) after "A`},
		{`'A > 1`, `Expected one of [0-9a-zA-Z_], '\'' at line 1, column 3 (byte 3) after 'A`},
		{`"1" > 1`, `Expected [a-zA-Z] at line 1, column 2 (byte 2) after "`},
		{"true", "Expected one of [0-9a-zA-Z_], ' ', " + comparator + " at line 1, column 5 (byte 5) after true"},
		{"A < > 1", `Expected one of ' ', '-', [0-9], '"', '\'', [a-zA-Z] at line 1, column 5 (byte 5) after A < `},
		{"!", "Expected one of " + start + " at line 1, column 2 (byte 2) after !"},
		{"é > 1", "Expected one of " + start + " at line 1, column 1 (byte 1)"},
		{strings.Repeat("!(", 101) + "A>1" + strings.Repeat(")", 101), "expression is nested too deeply: at most 200 levels are allowed, at line 1, column 201"},
	}
	for _, tt := range tests {
		_, err := ParseElasticity(tt.source)
		var se *SyntaxError
		if !errors.As(err, &se) || err.Error() != tt.want {
			t.Errorf("%.40q:\n got %v\nwant %s", tt.source, err, tt.want)
		}
	}
}

func TestEvalElasticity(t *testing.T) {
	averages := means(map[string]float64{"CPU": 50})
	if ok, text := EvalElasticity("CPU >= 50", averages); !ok || text != "CPU[50.0] >= 50" {
		t.Errorf("got %v %q", ok, text)
	}
	ok, text := EvalElasticity("5. > 1", averages)
	if want := "Parse error. '5. > 1': Expected [0-9] at line 1, column 3 (byte 3) after 5."; ok || text != want {
		t.Errorf("got %v %q, want false %q", ok, text, want)
	}
}

func TestElasticityNames(t *testing.T) {
	e, err := ParseElasticity(`load > 1 && (CPU < 2 || Load = 3) && "QUOTED" > 1 && 1 < Mem_2`)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"CPU", "LOAD", "MEM_2"}; !slices.Equal(e.Names(), want) {
		t.Errorf("Names() = %q, want %q", e.Names(), want)
	}
}

func FuzzElasticity(f *testing.F) {
	for _, s := range []string{"A", "CPU > 80", "1=2 && 2=3 || 3=3", "!(a<>1)&b>=-2.50", `"Q" = 'r'`, "5.", "- 1 > 2", "((A>1)", "A > 1 B", ""} {
		f.Add(s)
	}
	averages := means(map[string]float64{"A": 1, "CPU": 84.5, "B": -3.333})
	f.Fuzz(func(t *testing.T, source string) {
		e, err := ParseElasticity(source)
		if err != nil {
			var se *SyntaxError
			if !errors.As(err, &se) || se.Offset < 0 || se.Offset > len(source) {
				t.Fatalf("%q: bad error %#v", source, err)
			}
			return
		}
		asked := map[string]bool{}
		e.Eval(func(name string) (float64, bool) {
			asked[name] = true
			return averages(name)
		})
		for name := range asked {
			if !slices.Contains(e.Names(), name) {
				t.Fatalf("%q asks for %s, which Names() does not mention", source, name)
			}
		}
		if len(asked) != len(e.Names()) {
			t.Fatalf("%q: asked for %v, Names() is %q", source, asked, e.Names())
		}
	})
}
