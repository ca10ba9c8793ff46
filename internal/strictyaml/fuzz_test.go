package strictyaml_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/internal/strictyaml"
)

// FuzzDecode: every error is one line with a position inside the document, at
// most ten and one of them, in order; what decodes decodes to the same again.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(""))
	f.Add([]byte("name: a\nflag: true\nn: 1\nu: 0xff\np: 3\nt: 2026-01-31T15:04:05Z\naddr: ::1\nallow: [::/0]\neven: ab\n"))
	f.Add([]byte("in: &a {s: x, l: [a], m: {k: v}}\nopt: *a\nlist: [*a, {in: {in: *a}}]\n"))
	f.Add([]byte("in: &a\n  in: *a\n"))
	f.Add([]byte("nmae: 1\nname: 2\nname: 3\n<<: {}\n? [a]\n: b\n!x y: z\n"))
	f.Add([]byte("list:\n- s: |\n    a\n    b\n- l:\n  - 'x'\n  - \"\\u263a\"\n"))
	f.Add([]byte("%YAML 1.1\n---\nname: a\n...\n---\nname: b\n"))
	f.Add([]byte("list: [{},{s: },{x},3,[],~,!a b,*c]"))
	f.Add([]byte("\ufeffname: \"\r\n\u2028\x85\"\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var v, again outer
		err := strictyaml.Decode("f", data, &v)
		if err != nil {
			checkErrors(t, data, err)
			return
		}
		if err := strictyaml.Decode("f", data, &again); err != nil || !reflect.DeepEqual(v, again) {
			t.Fatalf("decoded first as %+v, then as %+v, %v", v, again, err)
		}
	})
}

func checkErrors(t *testing.T, data []byte, err error) {
	errs := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		errs = joined.Unwrap()
	}
	if len(errs) > 11 {
		t.Errorf("%d errors", len(errs))
	}
	// YAML counts more characters as line breaks than the newline.
	lines := 2 + strings.Count(string(data), "\n") + strings.Count(string(data), "\r") +
		strings.Count(string(data), "\u0085") + strings.Count(string(data), "\u2028") + strings.Count(string(data), "\u2029")
	line := 0
	for i, err := range errs {
		if strings.ContainsAny(err.Error(), "\n\r") {
			t.Errorf("error of several lines: %q", err)
		}
		var e *strictyaml.Error
		if !errors.As(err, &e) {
			if i != 10 {
				t.Errorf("error %d is %v, of another type", i, err)
			}
			continue
		}
		if e.Line < max(line, 1) || e.Line > lines || e.Column < 1 || e.Column > len(data)+1 || e.Message == "" {
			t.Errorf("error %d: %+v after line %d, in a document of %d lines", i, *e, line, lines)
		}
		line = e.Line
	}
}
