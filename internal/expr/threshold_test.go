package expr

import (
	"slices"
	"testing"
)

func TestThresholds(t *testing.T) {
	for source, want := range map[string][]Threshold{
		"load > 80":                   {{"LOAD", ">", 80}},
		"80 < LOAD":                   {{"LOAD", ">", 80}},
		"-1.5 = A":                    {{"A", "==", -1.5}},
		"A <> 3":                      {{"A", "!=", 3}},
		"!A >= 3":                     {{"A", "<", 3}},
		"!(A > 1 && 2 >= B) || C = 1": {{"A", "<=", 1}, {"B", ">", 2}, {"C", "!=", 1}}, // ! negates everything to its right
		"(!A > 1) || !(!B < 2)":       {{"A", "<=", 1}, {"B", "<", 2}},
		"A > B":                       nil,
		"1 < 2":                       nil,
		"'A' > 2":                     nil,
	} {
		e, err := ParseElasticity(source)
		if err != nil {
			t.Fatalf("%s: %v", source, err)
		}
		if got := e.Thresholds(); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", source, got, want)
		}
	}
}
