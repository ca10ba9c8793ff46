package strictyaml_test

import (
	"errors"
	"testing"

	"github.com/periscope-collector/periscope/internal/strictyaml"
)

const sessions = `# comment
sessions:
  - name: a
    vni: 1
  - &b
    name: b
    labels: {a.b: x, "": y}
    vni:
  - *b
`

func TestErrorf(t *testing.T) {
	doc, err := strictyaml.Parse("s.yaml", []byte(sessions))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path         string
		has          bool
		line, column int
	}{
		{"", true, 2, 1},
		{"sessions", true, 3, 3},
		{"sessions[0]", true, 3, 5},
		{"sessions[0].name", true, 3, 11},
		{"sessions[1].vni", true, 8, 9},
		{`sessions[1].labels."a.b"`, true, 7, 19},
		{`sessions[1].labels.""`, true, 7, 26},
		{"sessions[2]", true, 9, 5},
		{"sessions[2].name", true, 6, 11},

		{"sessions[0].mac", false, 3, 5},
		{"sessions[0].mac.x[3]", false, 3, 5},
		{"sessions[0].name.x", false, 3, 11},
		{"sessions[3]", false, 3, 3},
		{"sessions[-1]", false, 3, 3},
		{"sessions[x]", false, 3, 3},
		{"sessions[", false, 3, 3},
		{"sessions.0", false, 3, 3},
		{`sessions[1].labels."a`, false, 7, 13},
		{"[0]", false, 2, 1},
		{"other", false, 2, 1},
	} {
		if got := doc.Has(tt.path); got != tt.has {
			t.Errorf("Has(%s) = %v, want %v", tt.path, got, tt.has)
		}
		e := doc.Errorf(tt.path, "no %s", "good")
		want := strictyaml.Error{Name: "s.yaml", Line: tt.line, Column: tt.column, Path: tt.path, Message: "no good"}
		if *e != want {
			t.Errorf("Errorf(%s) = %+v, want %+v", tt.path, *e, want)
		}
	}
	if got, want := doc.Errorf("sessions[0].name", "taken; choose another").Error(),
		"s.yaml:3:11: sessions[0].name: taken; choose another"; got != want {
		t.Errorf("error %q, want %q", got, want)
	}
}

func TestErrorfOfEmptyDocument(t *testing.T) {
	doc, err := strictyaml.Parse("f", nil)
	if err != nil {
		t.Fatal(err)
	}
	if doc.Has("a") || doc.Has("") {
		t.Error("an empty document has a value")
	}
	if got, want := doc.Errorf("a", "missing").Error(), "f:1:1: a: missing"; got != want {
		t.Errorf("error %q, want %q", got, want)
	}
}

func TestJoin(t *testing.T) {
	doc, err := strictyaml.Parse("f", []byte(sessions))
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Join(nil); err != nil {
		t.Errorf("Join of nothing = %v", err)
	}
	later, earlier := doc.Errorf("sessions[1]", "x"), doc.Errorf("sessions[0]", "y")
	joined := doc.Join([]*strictyaml.Error{later, earlier})
	if got, want := joined.Error(), "f:3:5: sessions[0]: y\nf:5:5: sessions[1]: x"; got != want {
		t.Errorf("Join = %q, want %q", got, want)
	}
	var e *strictyaml.Error
	if !errors.As(joined, &e) || e != earlier {
		t.Errorf("errors.As gives %v, want the first error", e)
	}
	var many []*strictyaml.Error
	for range 12 {
		many = append(many, later)
	}
	if got := doc.Join(many).(interface{ Unwrap() []error }).Unwrap(); len(got) != 11 || got[10].Error() != "f: and 2 more; correct these first" {
		t.Errorf("Join of 12 = %q", got)
	}
}
