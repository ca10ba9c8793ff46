package mirror_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/periscope-collector/periscope/mirror"
)

func TestParseDefaults(t *testing.T) {
	want := &mirror.Rules{
		Owner:   "periscope",
		Targets: []mirror.TargetRule{{ID: targetA}},
		VNIs:    mirror.VNIRange{From: 1048576, To: 16777215},
		Sources: []mirror.Rule{{Name: "all", Match: mirror.Match{All: true}, Mirror: true, Targets: []string{targetA}, Filter: filter1, Number: 1}},
	}
	if got := parse(t, toOne); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := parse(t, "sources: []"); len(got.Sources) != 0 || got.Owner != "periscope" {
		t.Errorf("%+v", got)
	}
}

func TestParseErrors(t *testing.T) {
	rule := func(more string) string {
		return "targets: [{id: " + targetA + "}]\nsources: [{name: a, match: all, filter: " + filter1 + more + "}]"
	}
	for name, tt := range map[string]struct{ in, want string }{
		"nothing":             {"", "f:1:1: no key sources; write sources: [] for none, which ends all sessions of this owner"},
		"unknown key":         {"source: []", "f:1:1: source: unknown key; known here: owner, sources, targets, vni"},
		"no name":             {"sources: [{match: {service: [a]}, mirror: false}]", "f:1:11: sources[0].name: is missing"},
		"a name twice":        {"sources: [{name: a, match: {service: [a]}, mirror: false}, {name: a, match: all, mirror: false}]", `f:1:67: sources[1].name: "a" is the name of another rule above; give each its own`},
		"a control character": {"sources: [{name: \"a\\n\", match: all, mirror: false}]", `f:1:18: sources[0].name: has printable characters only, unlike "a\n"`},
		"name of 129":         {"sources: [{name: " + strings.Repeat("a", 129) + ", match: all, mirror: false}]", "f:1:18: sources[0].name: has at most 128 bytes, not 129"},
		"no match":            {"sources: [{name: a, mirror: false}]", "f:1:11: sources[0].match: says nothing; write match: all for every interface"},
		"an empty match":      {"sources: [{name: a, match: {}, mirror: false}]", "f:1:28: sources[0].match: says nothing; write match: all for every interface"},
		"match any":           {"sources: [{name: a, match: any, mirror: false}]", "f:1:28: sources[0].match: must be a mapping such as {service: [web]}, or all for every interface"},
		"an empty list":       {"sources: [{name: a, match: {service: []}, mirror: false}]", "f:1:38: sources[0].match.service: is empty; name something, or remove the key"},
		"an empty pattern":    {"sources: [{name: a, match: {service: ['']}, mirror: false}]", "f:1:39: sources[0].match.service[0]: is empty"},
		"not a VPC":           {"sources: [{name: a, match: {vpc: [subnet-01234567]}, mirror: false}]", `f:1:35: sources[0].match.vpc[0]: must be an id such as vpc-0123456789abcdef0, not "subnet-01234567"`},
		"a rule after all":    {"sources: [{name: a, match: all, mirror: false}, {name: b, match: all, mirror: false}]", "f:1:49: sources[1]: is never reached, since sources[0] matches all; put it before that"},
		"filter of no mirror": {"sources: [{name: a, match: all, mirror: false, filter: " + filter1 + "}]", "f:1:56: sources[0].filter: means nothing with mirror: false; remove one of the two"},
		"no target":           {"sources: [{name: a, match: all, filter: " + filter1 + "}]", "f:1:1: targets: no target is listed, and a rule needs one"},
		"no filter":           {"targets: [{id: " + targetA + "}]\nsources: [{name: a, match: all}]", `f:2:11: sources[0].filter: must be an id such as tmf-0123456789abcdef0, not ""`},
		"an unknown target":   {rule(", targets: [" + targetB + "]"), `f:2:74: sources[0].targets[0]: "` + targetB + `" is not listed below targets`},
		"a target twice":      {rule(", targets: [" + targetA + ", " + targetA + "]"), "f:2:97: sources[0].targets[1]: " + targetA + " is there twice"},
		"no targets":          {rule(", targets: []"), "f:2:73: sources[0].targets: is empty; name a target, or remove the key for all of them"},
		"targets twice":       {"targets: [{id: " + targetA + "}, {id: " + targetA + "}]\nsources: []", "f:1:45: targets[1].id: " + targetA + " is listed above; list each target once"},
		"negative sources":    {"targets: [{id: " + targetA + ", max_sources: -1}]\nsources: []", "f:1:52: targets[0].max_sources: must be 1 or more, not -1; without the key it is AWS's quota"},
		"length 34":           {rule(", packet_length: 34"), "f:2:79: sources[0].packet_length: must be 35 to 8500 bytes, or 0 for whole packets, not 34"},
		"length 8501":         {rule(", packet_length: 8501"), "f:2:79: sources[0].packet_length: must be 35 to 8500 bytes, or 0 for whole packets, not 8501"},
		"number 0":            {rule(", number: 0"), "f:2:72: sources[0].number: must be 1 to 32766, not 0"},
		"number 32767":        {rule(", number: 32767"), "f:2:72: sources[0].number: must be 1 to 32766, not 32767"},
		"VNI 0":               {rule(", vni: 0"), "f:2:69: sources[0].vni: must be 1 to 16777215, not 0; without the key each session has its own"},
		"VNI 2^24":            {rule(", vni: 16777216"), "f:2:69: sources[0].vni: must be 1 to 16777215, not 16777216; without the key each session has its own"},
		"range from 0":        {"vni: {from: 0}\nsources: []", "f:1:6: vni: must be a range of 1 to 16777215, not 0 to 16777215"},
		"range to 2^24":       {"vni: {to: 16777216}\nsources: []", "f:1:6: vni: must be a range of 1 to 16777215, not 1048576 to 16777216"},
		"range backwards":     {"vni: {from: 2, to: 1}\nsources: []", "f:1:6: vni: must be a range of 1 to 16777215, not 2 to 1"},
		"owner of nothing":    {"owner: ''\nsources: []", "f:1:8: owner: is empty"},
		"room for nobody":     {"targets: [{id: tmt-01234567, max_sources: 0}]\nsources: []", "f:1:43: targets[0].max_sources: must be 1 or more, not 0; without the key it is AWS's quota"},
	} {
		t.Run(name, func(t *testing.T) {
			rules, err := mirror.Parse("f", []byte(tt.in))
			if rules != nil || err == nil || err.Error() != tt.want {
				t.Errorf("%+v, %v, want %s", rules, err, tt.want)
			}
		})
	}
}

// The ends of every range are good.
func TestParseEnds(t *testing.T) {
	for _, in := range []string{
		"packet_length: 35", "packet_length: 8500", "packet_length: 0", "number: 1", "number: 32766", "vni: 1", "vni: 16777215",
	} {
		parse(t, strings.Replace(toOne, "match: all", "match: all, "+in, 1))
	}
	parse(t, "vni: {from: 1, to: 1}\nsources: []")
	parse(t, "vni: {from: 1, to: 16777215}\nsources: []")
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "rules.yaml")
	if _, err := mirror.Load(path); err == nil {
		t.Error("a file that is not there was read")
	}
	if _, err := mirror.Load(dir); err == nil || err.Error() != "rules file: "+dir+" is not a regular file" {
		t.Errorf("a directory: %v", err)
	}
	for size, ok := range map[int]bool{mirror.MaxFile: true, mirror.MaxFile + 1: false} {
		text := toOne + "#"
		text += strings.Repeat("x", size-len(text))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := mirror.Load(path); (err == nil) != ok {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func TestMatch(t *testing.T) {
	task, host := source(1), source(2)
	task.Tags = map[string]string{"net": "a"}
	task.Task.Tags = map[string]string{"mirror": "", "team": "payments-eu"}
	host.Task = nil
	host.Instance = &mirror.Instance{ID: "i-01234567", Name: "bastion", Group: "workers", Tags: map[string]string{"os": "linux"}}
	for _, tt := range []struct {
		match      string
		task, host bool
	}{
		{"all", true, true},
		{"{cluster: [prod]}", true, false},
		{"{cluster: [PROD]}", false, false},
		{"{cluster: [pro]}", false, false},
		{"{cluster: [x, 'p*']}", true, false},
		{"{cluster: ['*']}", true, false}, // of an instance there is none
		{"{cluster: [prod], service: [api]}", false, false},
		{"{cluster: [prod], service: ['w?b']}", true, false},
		{"{family: [web]}", true, false},
		{"{instance: [i-01234567]}", false, true},
		{"{instance: ['*']}", false, true},
		{"{instance_name: ['bas*']}", false, true},
		{"{auto_scaling_group: [workers]}", false, true},
		{"{interface: ['*1']}", true, false},
		{"{vpc: [vpc-00000001], subnet: [subnet-00000001]}", true, true},
		{"{task_tag: [mirror]}", true, false},
		{"{task_tag: [mirror=]}", true, false},
		{"{task_tag: [mirror=x]}", false, false},
		{"{task_tag: ['team=payments*']}", true, false},
		{"{task_tag: [net]}", false, false}, // it is the interface's
		{"{tag: [net=a]}", true, false},
		{"{tag: ['*=linux']}", false, true},
		{"{tag: [net, os]}", true, true},
	} {
		rules := parse(t, "sources: [{name: a, mirror: false, match: "+tt.match+"}]")
		match := &rules.Sources[0].Match
		if got := [2]bool{match.Meets(&task), match.Meets(&host)}; got != [2]bool{tt.task, tt.host} {
			t.Errorf("%s: task and host %v, want %v, %v", tt.match, got, tt.task, tt.host)
		}
	}
	if (&mirror.Match{}).Meets(&task) {
		t.Error("a match that says nothing holds")
	}
}

// FuzzPattern: the pattern of a name fits as it does step by step.
func FuzzPattern(f *testing.F) {
	for _, s := range [][2]string{{"", ""}, {"*", ""}, {"a*b*c", "aXbXbc"}, {"?", "é"}, {"**?", "ab"}, {"a?", "a"}, {"*ab", "aab"}, {"a*", "b"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if len(pattern) > 12 || len(s) > 20 || s == "" || !utf8.ValidString(pattern) || !utf8.ValidString(s) {
			return
		}
		m := mirror.Match{Service: []string{pattern}}
		got := m.Meets(&mirror.Source{Task: &mirror.Task{Service: s}})
		if want := slow([]rune(pattern), []rune(s)); got != want {
			t.Errorf("%q fits %q: %v, want %v", pattern, s, got, want)
		}
	})
}

func slow(p, s []rune) bool {
	switch {
	case len(p) == 0:
		return len(s) == 0
	case p[0] == '*':
		return slow(p[1:], s) || len(s) > 0 && slow(p, s[1:])
	}
	return len(s) > 0 && (p[0] == '?' || p[0] == s[0]) && slow(p[1:], s[1:])
}

// FuzzParse: there are rules or an error; rules hold what their comments say.
func FuzzParse(f *testing.F) {
	f.Add([]byte(everything))
	f.Add([]byte(toOne))
	f.Add([]byte("sources: [{name: a, match: {service: ['*'], tag: [a=b]}, mirror: false}]"))
	f.Add([]byte("owner: x\nvni: {from: 1, to: 2}\ntargets: [{id: tmt-00000001, max_sources: 3}]\nsources: [{name: a, match: all, filter: tmf-00000001, targets: [tmt-00000001], number: 3, vni: 9, packet_length: 64}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		rules, err := mirror.Parse("f", data)
		if (rules == nil) == (err == nil) {
			t.Fatalf("%+v, %v", rules, err)
		}
		if err != nil {
			return
		}
		for _, r := range rules.Sources {
			if r.Mirror && (len(r.Targets) == 0 || r.Filter == "" || r.Number < 1 || r.Number > 32766 || r.VNI > 1<<24-1) {
				t.Errorf("%+v", r)
			}
		}
		if rules.Owner == "" || rules.VNIs.From < 1 || rules.VNIs.From > rules.VNIs.To || rules.VNIs.To > 1<<24-1 {
			t.Errorf("%+v", rules)
		}
		mirror.Make(rules, state(sources(1, 3), foreign(1, 1, 1, 5)), nil)
	})
}
