package tmpl_test

import (
	"testing"

	"github.com/trifid-cloud/trifid/internal/tmpl"
)

func TestMerge(t *testing.T) {
	tests := []struct{ name, old, over, want string }{
		{"both empty", "", "", ""},
		{"into empty", "", "A=1", "A=1"},
		{"empty", "A=1", "", "A=1"},
		{"new name", "B=1", "A=2 C=3", "A=2 B=1 C=3"},
		{"same name", "A=1 B=1", "A=2", "A=2 B=1"},
		{"all of a name are replaced", "D=[I=1] D=[I=2] D=[I=3]", "D=[I=4]", "D=[I=4]"},
		{"by several", "D=[I=1]", "D=[I=2] D=[I=3]", "D=[I=2] D=[I=3]"},
		{"vectors are not merged", "D=[I=1, S=2]", "D=[I=3]", "D=[I=3]"},
		{"single by vector", "A=1", "A=[B=2]", "A=[B=2]"},
		{"vector by single", "A=[B=2]", "A=1", "A=1"},
		{"empty vector deletes", "A=[B=2] C=1", "A=[]", "C=1"},
		{"empty vector deletes all", "A=[B=2] A=[B=3] A=1", "A=[]", ""},
		{"empty vector of a new name", "A=1", "B=[]", "A=1"},
		{"empty vector beside others", "A=1", "A=[] A=2", "A=2"},
		{"empty value stays", "A=1", "A=\"\"", "A=\"\""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			old, over := mustParse(t, tt.old), mustParse(t, tt.over)
			before := old.Text()
			got := old.Merge(over)
			checkTemplate(t, got, mustParse(t, tt.want).All()...)
			checkTemplate(t, got.Merge(over), got.All()...)
			if old.Text() != before {
				t.Error("the receiver changed")
			}
		})
	}
}

func TestKeepLast(t *testing.T) {
	for in, want := range map[string]string{
		"":                          "",
		"A=1 B=2":                   "A=1 B=2",
		"A=1 A=2":                   "A=2",
		"A=1 B=[C=1] B=[C=2] D=4":   "A=1 B=[C=2] D=4",
		"A=1 A=[B=1] A=[] C=1 C=2 ": "A=[] C=2",
	} {
		checkTemplate(t, mustParse(t, in).KeepLast(), mustParse(t, want).All()...)
	}
}

func TestLookups(t *testing.T) {
	tm := mustParse(t, "A=1 A=2 B=[X=1] B=x B=[X=yes] C=Yes D=\"\" E=[]")
	var none *tmpl.Template
	checks := []struct {
		name      string
		got, want any
	}{
		{"first single", tm.Get("A"), "1"},
		{"single behind a vector", tm.Get("B"), "x"},
		{"absent", tm.Get("Z"), ""},
		{"first vector", tm.Vector("B").Get("X"), "1"},
		{"all vectors", len(tm.Vectors("B")), 2},
		{"no vector", tm.Vector("A") == nil, true},
		{"empty vector", tm.Vector("E") != nil, true},
		{"named", len(tm.Named("B")), 3},
		{"yes", tm.Bool("C"), true},
		{"not yes", tm.Bool("A"), false},
		{"yes in a vector", tm.Vectors("B")[1].Bool("X"), true},
		{"has empty", tm.Has("D"), true},
		{"has not", tm.Has("Z"), false},
		{"length", tm.Len(), 8},
		{"without", tm.Without("A", "B", "Z").Text(), "C=\"Yes\"\nD=\"\"\nE=[ ]\n"},
		{"without nothing", tm.Without("Z") == tm, true},
		{"with", tm.Without("B", "C", "D", "E").With("A", "3").Text(), "A=\"3\"\n"},
		{"with vector", tm.Without("A", "C", "D", "E").WithVector("B", tmpl.Vec("", "X", "3").Vector).Text(), "B=[\n  X=\"3\" ]\n"},
		{"with nil vector", tmpl.New().WithVector("B", nil).Text(), "B=[ ]\n"},
		{"with vectors", tmpl.New().WithVectors("B", []tmpl.Vector{tmpl.Vec("", "X", "3").Vector, nil}).Text(), "B=[\n  X=\"3\" ]\nB=[ ]\n"},
		{"with no vectors", tm.WithVectors("B", nil).Has("B"), false},
		{"add nothing", tm.Add() == tm, true},
		{"add", tm.Without("B", "C", "D", "E").Add(tmpl.Single("A", "3")).Text(), "A=\"1\"\nA=\"2\"\nA=\"3\"\n"},
		{"nil length", none.Len(), 0},
		{"nil merge", none.Merge(nil).Len(), 0},
		{"nil with", none.With("A", "1").Get("A"), "1"},
		{"nil equals empty", none.Equal(mustParse(t, "")), true},
		{"nil text", none.Text(), ""},
		{"vector repeats", tmpl.Vec("A", "B", "1", "C", "2", "B", "3").Vector.Get("B"), "3"},
		{"vector without", tmpl.Vec("A", "B", "1", "C", "2").Vector.Without("B", "Z").Equal(tmpl.Vec("A", "C", "2").Vector), true},
		{"vector with", tmpl.Vec("A", "B", "1").Vector.With("A", "2").Equal(tmpl.Vec("A", "A", "2", "B", "1").Vector), true},
		{"single is not vector", tmpl.Single("A", "").Equal(tmpl.Vec("A")), false},
	}
	for _, c := range checks {
		if c.got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, c.got, c.want)
		}
	}
}

func mustParse(t testing.TB, text string) *tmpl.Template {
	t.Helper()
	tm, err := tmpl.Parse(text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return tm
}
