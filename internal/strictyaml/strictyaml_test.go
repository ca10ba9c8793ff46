package strictyaml_test

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/strictyaml"
)

type inner struct {
	S  string            `yaml:"s"`
	L  []string          `yaml:"l"`
	M  map[string]string `yaml:"m"`
	In *inner            `yaml:"in"`
	Is []inner           `yaml:"is"`
}

type outer struct {
	Name    string         `yaml:"name,omitempty"`
	Flag    bool           `yaml:"flag"`
	N       int8           `yaml:"n"`
	I       int            `yaml:"i"`
	U       uint32         `yaml:"u"`
	P       *uint16        `yaml:"p"`
	T       time.Time      `yaml:"t"`
	Addr    netip.Addr     `yaml:"addr"`
	Allow   []netip.Prefix `yaml:"allow"`
	Even    even           `yaml:"even"`
	In      inner          `yaml:"in"`
	Opt     *inner         `yaml:"opt"`
	List    []inner        `yaml:"list"`
	Inline  inline         `yaml:",inline"`
	NotRead string
	Hidden  string `yaml:"-"`
}

type inline struct {
	Flat string `yaml:"flat"`
	Deep struct {
		Deeper bool `yaml:"deeper"`
	} `yaml:",inline"`
}

// An even is a type with rules of its own.
type even string

func (e *even) UnmarshalText(text []byte) error {
	if len(text)%2 != 0 {
		return errors.New("must have an even length; add a character")
	}
	*e = even(text)
	return nil
}

func TestDecode(t *testing.T) {
	p := uint16(3)
	for _, tt := range []struct {
		name, in string
		want     outer
	}{
		{"empty", "", outer{}},
		{"comments alone", "# nothing\n", outer{}},
		{"empty document", "---\n", outer{}},
		{"null", "null", outer{}},
		{"document with markers", "%YAML 1.1\n---\nname: a\n...\n", outer{Name: "a"}},
		{"byte order mark", "\ufeffname: a", outer{Name: "a"}},
		{"carriage returns", "name: a\r\nflag: true\r\n", outer{Name: "a", Flag: true}},
		{"string that YAML takes for a number", "name: 012345678901", outer{Name: "012345678901"}},
		{"string that YAML 1.1 takes for a bool", "name: no", outer{Name: "no"}},
		{"string that YAML takes for a time", "name: 2026-01-31", outer{Name: "2026-01-31"}},
		{"empty string", "name: ''", outer{}},
		{"bool", "flag: TRUE", outer{Flag: true}},
		{"least int", "n: -128", outer{N: -128}},
		{"largest int", "n: 127", outer{N: 127}},
		{"hexadecimal", "u: 0xffFFffff", outer{U: 1<<32 - 1}},
		{"pointer", "p: 3", outer{P: &p}},
		{"time", "t: 2026-01-31T15:04:05Z", outer{T: time.Date(2026, 1, 31, 15, 4, 5, 0, time.UTC)}},
		{"address", "addr: fd00::1", outer{Addr: netip.MustParseAddr("fd00::1")}},
		{"address that YAML takes for a number", "addr: ::1", outer{Addr: netip.MustParseAddr("::1")}},
		{"text", "even: 1234", outer{Even: "1234"}},
		{"list", "allow: [10.0.0.0/8]", outer{Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}},
		{"empty list", "allow: []", outer{Allow: []netip.Prefix{}}},
		{"struct without a value", "in:\nname: a", outer{Name: "a"}},
		{"keys of inlined structs", "flat: a\ndeeper: true\nname: b", outer{Name: "b", Inline: inline{Flat: "a", Deep: struct {
			Deeper bool `yaml:"deeper"`
		}{true}}}},
		{"pointer to an empty struct", "opt: {}", outer{Opt: &inner{}}},
		{"map", "in: {m: {a: 1, b c: yes, '': x}}", outer{In: inner{M: map[string]string{"a": "1", "b c": "yes", "": "x"}}}},
		{"empty map", "in: {m: {}}", outer{In: inner{M: map[string]string{}}}},
		{"item without a value", "list:\n- s: a\n-\n", outer{List: []inner{{S: "a"}, {}}}},
		{"aliases", "in: &a {s: x}\nopt: *a\nlist: [*a, *a]",
			outer{In: inner{S: "x"}, Opt: &inner{S: "x"}, List: []inner{{S: "x"}, {S: "x"}}}},
		{"alias of a scalar", "name: &n x\nin: {s: *n}", outer{Name: "x", In: inner{S: "x"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got outer
			if err := strictyaml.Decode("f", []byte(tt.in), &got); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestDecodeKeepsWhatIsAbsent(t *testing.T) {
	got := outer{Name: "before", Allow: make([]netip.Prefix, 3), In: inner{S: "before"}, Opt: &inner{S: "before"}}
	if err := strictyaml.Decode("f", []byte("in: {l: [a]}\nopt: {l: [b]}\nallow: []"), &got); err != nil {
		t.Fatal(err)
	}
	want := outer{Name: "before", Allow: []netip.Prefix{},
		In: inner{S: "before", L: []string{"a"}}, Opt: &inner{S: "before", L: []string{"b"}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestDecodeErrors(t *testing.T) {
	const known = "known here: addr, allow, deeper, even, flag, flat, i, in, list, n, name, opt, p, t, u"
	for _, tt := range []struct{ name, in, want string }{
		{"not YAML", "name: [", "f:2:1: not valid YAML: did not find expected node content while parsing a flow node"},
		{"tab", "in:\n\ts: x", "f:2:1: not valid YAML: found character that cannot start any token while scanning for the next token"},
		{"unknown anchor", "a: 1\nname: *x", "f:2:7: not valid YAML: unknown anchor 'x' referenced"},
		{"zero byte", "name: a\nin: \"é\x00\"", "f:2:7: a byte that YAML does not allow; remove it, or save the file as UTF-8"},
		{"not UTF-8", "name: \xff", "f:1:7: a byte that YAML does not allow; remove it, or save the file as UTF-8"},
		{"UTF-16", "\xff\xfen\x00", "f:1:1: a byte that YAML does not allow; remove it, or save the file as UTF-8"},
		{"too deep", strings.Repeat("[", 101), "f:1:101: not valid YAML: exceeded max depth of 100 while increasing flow level"},
		{"second document", "name: a\n---\nname: b\n", "f:2:1: a second document begins here; keep one document in a file"},
		{"second document, broken", "name: a\n---\n[", "f:4:1: not valid YAML: did not find expected node content while parsing a flow node"},
		{"list at the top", "- a", "f:1:1: must be a mapping such as {key: value}, not a list"},
		{"text at the top", "a", `f:1:1: must be a mapping such as {key: value}, not "a"`},

		{"unknown key", "name: a\nnmae: b", "f:2:1: nmae: unknown key; " + known},
		{"unknown key inside", "in: {in: {x: 1}}", "f:1:11: in.in.x: unknown key; known here: in, is, l, m, s"},
		{"key of a field that is not read", "Hidden: a", "f:1:1: Hidden: unknown key; " + known},
		{"duplicate key", "name: a\nname: b", "f:2:1: name: already given in line 1; remove one of the two"},
		{"duplicate key of a map", "in: {m: {a: 1, a: 2}}", "f:1:16: in.m.a: already given in line 1; remove one of the two"},
		{"key that is a list", "? [a]\n: b", "f:1:3: a key must be text, not a list"},
		{"merge key", "in: &a {s: x}\nopt: {<<: *a}", "f:2:7: opt: merge keys are not supported; write the keys out"},
		{"odd key", "in: {m: {a.b: []}}", `f:1:15: in.m."a.b": must be text, not a list`},
		{"long key", strings.Repeat("k", 65) + ": a", `f:1:1: "` + strings.Repeat("k", 64) + `"...: unknown key; ` + known},

		{"list for text", "name: [a]", "f:1:7: name: must be text, not a list"},
		{"mapping for text", "name: {a: b}", "f:1:7: name: must be text, not a mapping"},
		{"tag", "name: !secret a", `f:1:7: name: must be text, not tag "!secret"`},
		{"binary", "name: !!binary aGk=", `f:1:7: name: must be text, not tag "!!binary"`},
		{"tagged mapping", "in: !x {}", `f:1:5: in: must be a mapping such as {key: value}, not tag "!x"`},
		{"tagged list", "allow: !x []", `f:1:8: allow: must be a list such as [a, b], not tag "!x"`},
		{"scalar without a value", "name:\nflag: true", "f:1:6: name: has no value; give one or remove the key"},
		{"pointer without a value", "p: ~", "f:1:4: p: has no value; give one or remove the key"},
		{"list without a value", "allow:", "f:1:7: allow: has no value; write [] for an empty list, or remove the key"},
		{"optional struct without a value", "opt:", "f:1:5: opt: has no value; write {} for the defaults, or remove the key"},
		{"time without a value", "t:", "f:1:3: t: has no value; give one or remove the key"},
		{"text for a list", "allow: 10.0.0.0/8", `f:1:8: allow: must be a list such as [a, b], not "10.0.0.0/8"`},
		{"list for a map", "in: {m: [a]}", "f:1:9: in.m: must be a mapping such as {key: value}, not a list"},

		{"YAML 1.1 bool", "flag: yes", `f:1:7: flag: must be true or false, not "yes"`},
		{"bool in quotes", "flag: 'true'", `f:1:7: flag: must be true or false, not "true" in quotes`},
		{"int too small", "n: -129", `f:1:4: n: must be a whole number, -128 to 127, not "-129"`},
		{"int too large", "n: 128", `f:1:4: n: must be a whole number, -128 to 127, not "128"`},
		{"int of 64 bits too large", "i: 9223372036854775808", `f:1:4: i: must be a whole number, not "9223372036854775808"`},
		{"uint negative", "u: -1", `f:1:4: u: must be a whole number, 0 to 4294967295, not "-1"`},
		{"uint too large", "u: 4294967296", `f:1:4: u: must be a whole number, 0 to 4294967295, not "4294967296"`},
		{"fraction", "u: 1.0", `f:1:4: u: must be a whole number, 0 to 4294967295, not "1.0"`},
		{"octal or not", "u: 010", `f:1:4: u: must be a whole number, 0 to 4294967295, not "010"`},
		{"underscore", "u: 1_000", `f:1:4: u: must be a whole number, 0 to 4294967295, not "1_000"`},
		{"number in quotes", `u: "3"`, `f:1:4: u: must be a whole number, 0 to 4294967295, not "3" in quotes`},
		{"mapping for a number", "u: {}", "f:1:4: u: must be a whole number, 0 to 4294967295, not a mapping"},
		{"pointer out of range", "p: 65536", `f:1:4: p: must be a whole number, 0 to 65535, not "65536"`},

		{"address", "addr: host", `f:1:7: addr: must be an address such as 10.0.0.1 or fd00::1, not "host"`},
		{"empty address", "addr: ''", `f:1:7: addr: must be an address such as 10.0.0.1 or fd00::1, not "" in quotes`},
		{"prefix in quotes, as JSON has it", `allow: ["x"]`, `f:1:9: allow[0]: must be a prefix such as 10.0.0.0/8 or fd00::/8, not "x"`},
		{"prefix in a list", "allow:\n- 10.0.0.0/8\n- 10.0.0.0\n", `f:3:3: allow[1]: must be a prefix such as 10.0.0.0/8 or fd00::/8, not "10.0.0.0"`},
		{"date alone", "t: 2026-01-31", `f:1:4: t: must be a time such as 2026-01-31T15:04:05Z, not "2026-01-31"`},
		{"list for a time", "t: []", "f:1:4: t: must be a time such as 2026-01-31T15:04:05Z, not a list"},
		{"own rule", "even: abc", "f:1:7: even: must have an even length; add a character"},
		{"list for own type", "even: [a]", "f:1:7: even: must be text, not a list"},
		{"long value", "flag: " + strings.Repeat("x", 65), `f:1:7: flag: must be true or false, not "` + strings.Repeat("x", 64) + `"...`},

		{"error behind an alias, where the value is", "in: {l: &a [{}]}\nopt: {l: *a}",
			"f:1:13: in.l[0]: must be text, not a mapping\nf:1:13: opt.l[0]: must be text, not a mapping"},
		{"several, in the order of lines", "flag: 1\nn: x\nfoo: 1\n",
			`f:1:7: flag: must be true or false, not "1"` + "\n" +
				`f:2:4: n: must be a whole number, -128 to 127, not "x"` + "\n" +
				"f:3:1: foo: unknown key; " + known},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var v outer
			err := strictyaml.Decode("f", []byte(tt.in), &v)
			if err == nil {
				t.Fatalf("decoded as %+v, want an error", v)
			}
			if err.Error() != tt.want {
				t.Errorf("error\n%v\nwant\n%s", err, tt.want)
			}
		})
	}
}

func TestErrorLimit(t *testing.T) {
	for _, n := range []int{9, 10, 11, 1000} {
		in := "list:\n" + strings.Repeat("- {s: []}\n", n)
		err := strictyaml.Decode("f", []byte(in), new(outer))
		lines := strings.Split(err.Error(), "\n")
		want := min(n, 10)
		if n > 10 {
			want++
			if last := fmt.Sprintf("f: and %d more; correct these first", n-10); lines[10] != last {
				t.Errorf("%d errors: last line %q, want %q", n, lines[10], last)
			}
		}
		if len(lines) != want {
			t.Errorf("%d errors give %d lines, want %d", n, len(lines), want)
		}
	}
}

// TestAliasBomb: nine lists of nine aliases each stand for 9^9 values.
func TestAliasBomb(t *testing.T) {
	var b strings.Builder
	b.WriteString("in: &a0 {s: x}\nlist:\n")
	for i := 1; i < 10; i++ {
		fmt.Fprintf(&b, "- &a%d {is: [%s*a%d]}\n", i, strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 8), i-1)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := strictyaml.Decode("f", []byte(b.String()), new(outer))
	runtime.ReadMemStats(&after)
	if err == nil || !strings.HasSuffix(err.Error(), "aliases repeat too many values; write them out") {
		t.Errorf("error %v", err)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than one error: %v", err)
	}
	if taken := after.TotalAlloc - before.TotalAlloc; taken > 64<<20 {
		t.Errorf("took %d bytes", taken)
	}
}

// TestAliasedUnknownKeys: what cannot be read counts too, else a few hundred
// kilobytes would take minutes.
func TestAliasedUnknownKeys(t *testing.T) {
	in := "in: &a {" + keys(50_000) + "}\nlist: [" + strings.Repeat("*a,", 50_000) + "]"
	err := strictyaml.Decode("f", []byte(in), new(outer))
	// 50,000 of the mapping itself and at most 100,000 through aliases, of which
	// ten are shown.
	lines := strings.Split(err.Error(), "\n")
	if got, want := lines[len(lines)-1], "f: and 149989 more; correct these first"; got != want {
		t.Errorf("last line %q, want %q", got, want)
	}
}

func keys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "k%d: x, ", i)
	}
	return b.String()
}

func TestAliasLimit(t *testing.T) {
	// Each alias counts, and so does the key behind it.
	for _, tt := range []struct {
		aliases int
		ok      bool
	}{{49_999, true}, {50_000, true}, {50_001, false}} {
		in := "in: &a {s: x}\nlist: [" + strings.Repeat("*a,", tt.aliases) + "]"
		if err := strictyaml.Decode("f", []byte(in), new(outer)); (err == nil) != tt.ok {
			t.Errorf("%d aliases: %v", tt.aliases, err)
		}
	}
}

func TestAliasOfItself(t *testing.T) {
	err := strictyaml.Decode("f", []byte("in: &a\n  in: *a\n"), new(outer))
	if err == nil || !strings.HasSuffix(err.Error(), "aliases repeat too many values; write them out") {
		t.Errorf("error %v", err)
	}
	err = strictyaml.Decode("f", []byte("list: &a [*a]\n"), new(outer))
	if err == nil {
		t.Error("no error")
	}
}

func TestManyItems(t *testing.T) {
	var v outer
	if err := strictyaml.Decode("f", manyItems(10_000), &v); err != nil {
		t.Fatal(err)
	}
	if got, want := len(v.List), 10_000; got != want {
		t.Fatalf("%d items, want %d", got, want)
	}
	if got, want := v.List[9_999].S, "item 9999"; got != want {
		t.Errorf("last item %q, want %q", got, want)
	}
}

func BenchmarkDecodeItems(b *testing.B) {
	data := manyItems(10_000)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if err := strictyaml.Decode("f", data, new(outer)); err != nil {
			b.Fatal(err)
		}
	}
}

// manyItems returns a document of n items with six values each.
func manyItems(n int) []byte {
	var b strings.Builder
	b.WriteString("list:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - s: item %d\n    l: [a, b]\n    m: {k: v}\n    in: {s: deep}\n", i)
	}
	return []byte(b.String())
}

func TestDecodePanicsOnOtherTypes(t *testing.T) {
	for _, v := range []any{outer{}, new(string), nil, &struct {
		F float64 `yaml:"name"`
	}{}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Decode into %T did not panic", v)
				}
			}()
			_ = strictyaml.Decode("f", []byte("name: 1"), v)
		}()
	}
}

// place is text, or a mapping.
type place struct {
	Name string `yaml:"name"`
	N    int    `yaml:"n"`
}

func (p *place) UnmarshalText(text []byte) error {
	p.Name = string(text)
	return nil
}

func TestTextOrMapping(t *testing.T) {
	var got struct {
		L []place `yaml:"l"`
	}
	if err := strictyaml.Decode("f", []byte("l: [a, {name: b, n: 2}, {}]"), &got); err != nil {
		t.Fatal(err)
	}
	if want := []place{{Name: "a"}, {Name: "b", N: 2}, {}}; !reflect.DeepEqual(got.L, want) {
		t.Errorf("%+v, want %+v", got.L, want)
	}
	for in, want := range map[string]string{
		"l: [[a]]":       "f:1:5: l[0]: must be text, not a list",
		"l: [{m: a}]":    "f:1:6: l[0].m: unknown key; known here: n, name",
		"l: [!t {n: 1}]": `f:1:5: l[0]: must be a mapping such as {key: value}, not tag "!t"`,
	} {
		if err := strictyaml.Decode("f", []byte(in), &got); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", in, err, want)
		}
	}
}
