package mirror_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/mirror"
)

// verbs says what a plan does, as "create eni-..1, delete eni-..2".
func verbs(plan *mirror.Plan) string {
	var list []string
	for _, a := range plan.Actions {
		list = append(list, fmt.Sprintf("%s %s", a.Verb, strings.TrimLeft(a.Session.InterfaceID[4:], "0")))
	}
	return strings.Join(list, ", ")
}

func check(t *testing.T, plan *mirror.Plan, want string) {
	t.Helper()
	if got := verbs(plan); got != want {
		t.Errorf("the plan does %q, want %q; held: %+v", got, want, plan.Held)
	}
}

// reasons returns why interfaces are held.
func reasons(plan *mirror.Plan) string {
	var list []string
	for _, h := range plan.Held {
		list = append(list, h.Reason)
	}
	return strings.Join(list, "; ")
}

func TestCreateAndThenNothing(t *testing.T) {
	rules, s := parse(t, everything), state(sources(1, 3))
	plan := mirror.Make(rules, s, nil)
	check(t, plan, "create 1, create 2, create 3")
	first := plan.Actions[0]
	want := map[string]string{"periscope:owner": "periscope", "periscope:rule": "all", "periscope:cluster": "prod",
		"periscope:service": "web", "periscope:task": fmt.Sprintf("%032x", 1)}
	if !reflect.DeepEqual(first.Session.Tags, want) {
		t.Errorf("tags %v, want %v", first.Session.Tags, want)
	}
	if s := first.Session; s.TargetID != targetA || s.FilterID != filter1 || s.Number != 1 || s.PacketLength != 0 ||
		s.VNI < 1<<20 || s.VNI > 1<<24-1 || s.ID != "" || s.OwnerID != account {
		t.Errorf("session %+v", s)
	}
	if len(first.Token) != 64 || first.Token == plan.Actions[1].Token {
		t.Errorf("token %q, and %q of another", first.Token, plan.Actions[1].Token)
	}
	if again := mirror.Make(rules, s, nil); !reflect.DeepEqual(plan, again) {
		t.Error("the same state gives another plan")
	}
	s.Sessions = made(plan, 1)
	check(t, mirror.Make(rules, s, nil), "")
}

// What is not the owner's, by tag and by account, is never touched.
func TestForeign(t *testing.T) {
	rules := parse(t, everything)
	own := foreign(1, 7, 1, 5)
	own.Tags = map[string]string{"periscope:owner": "periscope"}
	elsewhere := own
	elsewhere.ID, elsewhere.OwnerID = tms(2), "999999999999"
	untagged := own
	untagged.ID, untagged.Tags = tms(3), nil
	plan := mirror.Make(rules, state(nil, own, elsewhere, untagged, foreign(4, 7, 2, 6)), nil)
	if check(t, plan, "delete 7"); len(plan.Actions) != 1 || plan.Actions[0].Session.ID != own.ID {
		t.Errorf("actions %+v", plan.Actions)
	}
}

// Without all interfaces known, only those said to be gone are.
func TestGone(t *testing.T) {
	rules := parse(t, everything)
	sessions := made(mirror.Make(rules, state(sources(1, 3)), nil), 1)
	s := state(sources(1, 1), sessions...)
	s.Whole, s.Gone = false, []string{eni(2)}
	check(t, mirror.Make(rules, s, nil), "delete 2")
	s.Whole = true
	check(t, mirror.Make(rules, s, nil), "delete 2, delete 3")
	s.Gone = []string{eni(1)} // what ends is not mirrored, though it is there
	check(t, mirror.Make(rules, s, nil), "delete 1, delete 2, delete 3")
}

func TestModify(t *testing.T) {
	rules := parse(t, everything)
	for name, tt := range map[string]struct {
		change func(*mirror.Session)
		want   string
	}{
		"filter":       {func(s *mirror.Session) { s.FilterID = "tmf-00000000000000002" }, "filter " + filter1 + " instead of tmf-00000000000000002"},
		"number":       {func(s *mirror.Session) { s.Number = 7 }, "number 1 instead of 7"},
		"length":       {func(s *mirror.Session) { s.PacketLength = 100 }, "packet length 0 instead of 100"},
		"target":       {func(s *mirror.Session) { s.TargetID = "tmt-0000000000000000c" }, "target " + targetA + " instead of tmt-0000000000000000c"},
		"other target": {func(s *mirror.Session) { s.TargetID = targetB }, ""}, // which it keeps
		"VNI in range": {func(s *mirror.Session) { s.VNI = 1 << 20 }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			was := made(mirror.Make(rules, state(sources(1, 1)), nil), 1)[0]
			tt.change(&was)
			plan := mirror.Make(rules, state(sources(1, 1), was), nil)
			if tt.want == "" {
				check(t, plan, "")
				return
			}
			check(t, plan, "modify 1")
			if a := plan.Actions[0]; a.Reason != tt.want || a.Session.ID != was.ID || !reflect.DeepEqual(a.Before, was) {
				t.Errorf("%+v, want %s", a, tt.want)
			}
		})
	}
}

// Creations and modifications come before deletions.
func TestOrder(t *testing.T) {
	rules := parse(t, everything)
	sessions := made(mirror.Make(rules, state(sources(1, 2)), nil), 1)
	sessions[1].Number = 5
	check(t, mirror.Make(rules, state(sources(2, 3), sessions...), nil), "create 3, modify 2, delete 1")
}

func TestDuplicates(t *testing.T) {
	rules := parse(t, everything)
	one := made(mirror.Make(rules, state(sources(1, 1)), nil), 5)[0]
	lower, higher := one, one
	lower.ID, lower.Number, lower.VNI = tms(4), 2, one.VNI+2
	higher.ID, higher.VNI = tms(6), one.VNI+1
	plan := mirror.Make(rules, state(sources(1, 1), higher, lower, one), nil)
	check(t, plan, "delete 1, delete 1")
	if plan.Actions[0].Session.ID != lower.ID || plan.Actions[1].Session.ID != higher.ID {
		t.Errorf("actions %+v: want %s kept", plan.Actions, one.ID)
	}
}

func TestUnfit(t *testing.T) {
	rules := parse(t, everything)
	branch, target := source(1), source(0xaaaa)
	branch.Type = "branch"
	was := made(mirror.Make(rules, state(sources(1, 1)), nil), 1)[0]
	plan := mirror.Make(rules, state([]mirror.Source{branch, target}, was), nil)
	check(t, plan, "delete 1")
	if got := reasons(plan); got != `an interface of type "branch" cannot be mirrored, only one of type "interface"; `+
		"it is the interface of target "+targetA+", which cannot be mirrored itself" {
		t.Errorf("held: %s", got)
	}
}

// While EC2 does not list an interface, it is mirrored if no rule asks for more than
// is known, and what it has stays.
func TestUnlisted(t *testing.T) {
	s := source(1)
	s.VPCID, s.AZID = "", ""
	check(t, mirror.Make(parse(t, everything), state([]mirror.Source{s}), nil), "create 1")
	was := made(mirror.Make(parse(t, everything), state(sources(1, 1)), nil), 1)[0]
	unknown := s
	unknown.Type = ""
	for _, tt := range []struct {
		match, reason string
		source        mirror.Source
	}{
		{"{vpc: [vpc-00000009]}", "EC2 does not list it yet, and a rule asks for its VPC or tags", s},
		{"{tag: [x]}", "EC2 does not list it yet, and a rule asks for its VPC or tags", s},
		{"{task_tag: [x]}", "EC2 does not list it yet, and its type is not known", unknown},
	} {
		rules := parse(t, strings.Replace(everything, "sources:", "sources:\n  - {name: out, match: "+tt.match+", mirror: false}", 1))
		for _, sessions := range [][]mirror.Session{nil, {was}} {
			plan := mirror.Make(rules, state([]mirror.Source{tt.source}, sessions...), nil)
			if check(t, plan, ""); reasons(plan) != tt.reason {
				t.Errorf("%s: held %s", tt.match, reasons(plan))
			}
		}
	}
	only := parse(t, strings.Replace(everything, "match: all", "match: {vpc: [vpc-00000001]}", 1))
	check(t, mirror.Make(only, state([]mirror.Source{s}, was), nil), "")
}
