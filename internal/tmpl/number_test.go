package tmpl_test

import (
	"math"
	"testing"

	"github.com/trifid-cloud/trifid/internal/tmpl"
)

func TestFormatNumber(t *testing.T) {
	for _, tt := range []struct {
		in   float64
		want string
	}{
		{0, "0"}, {math.Copysign(0, -1), "0"}, {1, "1"}, {1.0, "1"}, {0.10, "0.1"}, {0.5, "0.5"}, {-2.50, "-2.5"},
		{1.0 / 3, "0.333333"}, {0.1 + 0.2, "0.3"}, {12345.678, "12345.7"}, {0.00001234, "0.00001234"},
		{1e6, "1000000"}, {16384000, "16384000"}, {123456789.5, "123457000"}, {1e21, "1000000000000000000000"},
	} {
		if got := tmpl.FormatNumber(tt.in); got != tt.want {
			t.Errorf("FormatNumber(%v) = %s, want %s", tt.in, got, tt.want)
		}
	}
}

func TestNormalizeNumber(t *testing.T) {
	for _, tt := range []struct {
		in, want string
		ok       bool
	}{
		{"1.0", "1", true}, {"0.10", "0.1", true}, {"2", "2", true}, {" 1.50 ", "1.5", true}, {".5", "0.5", true},
		{"1.", "1", true}, {"+4", "4", true}, {"-0", "0", true}, {"1e3", "1000", true}, {"007", "7", true},
		{"", "", false}, {" ", " ", false}, {"x", "x", false}, {"1x", "1x", false}, {"1 2", "1 2", false}, {"1,5", "1,5", false},
		{"0x10", "0x10", false}, {"1_0", "1_0", false}, {"inf", "inf", false}, {"NaN", "NaN", false}, {"1e999", "1e999", false},
		{"-", "-", false}, {"--1", "--1", false}, {"1e", "1e", false}, {"512MB", "512MB", false},
	} {
		got, ok := tmpl.NormalizeNumber(tt.in)
		if got != tt.want || ok != tt.ok {
			t.Errorf("NormalizeNumber(%q) = %q, %v, want %q, %v", tt.in, got, ok, tt.want, tt.ok)
		}
	}
}

func TestYesNo(t *testing.T) {
	for in, want := range map[string]bool{"YES": true, "yes": true, "Yes": true, "NO": false, "": false, "1": false, "true": false, "YES ": false} {
		if tmpl.IsYes(in) != want {
			t.Errorf("IsYes(%q) = %v", in, !want)
		}
	}
	if tmpl.YesNo(true) != "YES" || tmpl.YesNo(false) != "NO" {
		t.Error("YesNo is not YES and NO")
	}
}
