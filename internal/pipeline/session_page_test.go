package pipeline

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/internal/discovery"
)

// keys returns the JSON keys of a struct, those of embedded ones included, in the
// order in which they are written.
func keys(t reflect.Type) (list []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous:
			list = append(list, keys(f.Type)...)
		case f.IsExported() && name != "-":
			list = append(list, name)
		}
	}
	return list
}

// docs/formats.md has the keys of the list of sessions.
func TestSessionPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/formats.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Sessions as JSON\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var got []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(section, -1) {
		got = append(got, m[1])
	}
	want := slices.Concat(keys(reflect.TypeFor[SessionRow]()), keys(reflect.TypeFor[Scope]()),
		keys(reflect.TypeFor[Changes]()), keys(reflect.TypeFor[discovery.Refusal]()))
	if !slices.Equal(got, want) {
		t.Errorf("docs/formats.md has\n%q\nthe list\n%q", got, want)
	}
	for _, flag := range []string{FlagSilent, FlagUnknown, FlagMismatch, FlagDirection, FlagStale} {
		if !strings.Contains(section, "`"+flag+"`") {
			t.Errorf("docs/formats.md lacks the flag %s", flag)
		}
	}
	for _, typ := range []reflect.Type{reflect.TypeFor[SessionList](), reflect.TypeFor[Discovery]()} {
		for _, key := range keys(typ) {
			if !strings.Contains(section, "`"+key+"`") {
				t.Errorf("docs/formats.md lacks %s", key)
			}
		}
	}
}
