package mirror_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

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

// The sources of a target are counted at, before and after its quota; what has a
// target keeps it.
func TestTargetQuota(t *testing.T) {
	rules := parse(t, toOne)
	for n, notices := range map[int]int{7: 0, 8: 1, 9: 1, 10: 1, 11: 1} {
		plan := mirror.Make(rules, state(sources(1, n)), nil)
		if got, want := len(plan.Actions), min(n, 10); got != want || len(plan.Held) != n-want {
			t.Errorf("%d sources: %d are mirrored and %d held, want %d", n, got, len(plan.Held), want)
		}
		if len(plan.Notices) != notices {
			t.Errorf("%d sources: notices %+v", n, plan.Notices)
		}
	}
	plan := mirror.Make(rules, state(sources(1, 11)), nil)
	if got := reasons(plan); !strings.Contains(got, "no target has room: "+targetA+" has 10 of 10 sources") || !plan.Held[0].Room {
		t.Errorf("held: %+v", plan.Held)
	}
	if want := (mirror.Notice{Quota: mirror.QuotaSources, ID: targetA, Used: 10, Limit: 10}); plan.Notices[0] != want {
		t.Errorf("notice %+v, want %+v", plan.Notices[0], want)
	}
	// Two sessions of one source are one; those of others count.
	sessions := []mirror.Session{foreign(1, 100, 1, 5), foreign(2, 100, 2, 6), foreign(3, 101, 1, 7)}
	if plan := mirror.Make(rules, state(sources(1, 9), sessions...), nil); len(plan.Actions) != 8 || len(plan.Held) != 1 {
		t.Errorf("beside 2 sources of others: %s; %s", verbs(plan), reasons(plan))
	}
	small := parse(t, strings.Replace(toOne, targetA+"}", targetA+", max_sources: 2}", 1))
	if plan := mirror.Make(small, state(sources(1, 3)), nil); len(plan.Actions) != 2 {
		t.Errorf("max_sources 2: %s", verbs(plan))
	}
	all := made(mirror.Make(rules, state(sources(1, 10)), nil), 1)
	if plan := mirror.Make(small, state(sources(1, 10), all...), nil); len(plan.Actions) != 0 {
		t.Errorf("10 sources of 2 that it may have: %s", verbs(plan))
	}
}

func TestTargetChoice(t *testing.T) {
	rules := parse(t, everything)
	list := sources(1, 25)
	for i := range list {
		list[i].AZID = "euc1-az2"
	}
	count := make(map[string]int)
	for i, a := range mirror.Make(rules, state(list), nil).Actions {
		count[a.Session.TargetID]++
		if i == 0 && a.Session.TargetID != targetB {
			t.Errorf("the first goes to %s, and %s is in its zone", a.Session.TargetID, targetB)
		}
	}
	if want := map[string]int{targetB: 10, targetA: 10, targetN: 5}; !reflect.DeepEqual(count, want) {
		t.Errorf("sources by target: %v, want %v", count, want)
	}
	s := state(sources(1, 1))
	delete(s.Targets, targetA)
	if got := mirror.Make(rules, s, nil).Actions[0].Session.TargetID; got != targetB {
		t.Errorf("without a target in its zone it goes to %s, want %s", got, targetB)
	}
	clear(s.Targets)
	if got := reasons(mirror.Make(rules, s, nil)); !strings.HasPrefix(got, "none of its targets is there: "+targetA) {
		t.Errorf("without targets: %s", got)
	}
}

// A load balancer makes 8500 of no packet length.
func TestLoadBalancerLength(t *testing.T) {
	rules := parse(t, strings.Replace(toOne, targetA, targetN, 1))
	was := made(mirror.Make(rules, state(sources(1, 1)), nil), 1)[0]
	for length, want := range map[int]string{0: "", 8499: "modify 1", 8500: ""} {
		was.PacketLength = length
		check(t, mirror.Make(rules, state(sources(1, 1), was), nil), want)
	}
}

func TestSourceQuota(t *testing.T) {
	rules := parse(t, everything)
	two := []mirror.Session{foreign(1, 1, 2, 5), foreign(2, 1, 3, 6)}
	check(t, mirror.Make(rules, state(sources(1, 1), two...), nil), "create 1")
	plan := mirror.Make(rules, state(sources(1, 1), append(two, foreign(3, 1, 4, 7))...), nil)
	if check(t, plan, ""); reasons(plan) != "it has 3 sessions, and AWS allows 3" {
		t.Errorf("held: %s", reasons(plan))
	}
	plan = mirror.Make(rules, state(sources(1, 1), foreign(3, 1, 1, 7)), nil)
	if check(t, plan, ""); !strings.HasPrefix(reasons(plan), "its session number 1 is taken by "+tms(3)+", which is not ours") {
		t.Errorf("held: %s", reasons(plan))
	}
}

func TestAccountQuota(t *testing.T) {
	rules := parse(t, strings.Replace(toOne, targetA, targetN, 1))
	var others []mirror.Session
	for i := range 9_999 {
		others = append(others, foreign(i+1, i+100, 1, uint32(i+1)))
	}
	s := state(sources(1, 2), others...)
	plan := mirror.Make(rules, s, nil)
	check(t, plan, "create 1")
	if got := reasons(plan); got != "the account has 10000 sessions, and AWS allows 10000" {
		t.Errorf("held: %s", got)
	}
	s.Sessions[0].OwnerID = "999999999999" // counts against another account
	check(t, mirror.Make(rules, s, nil), "create 1, create 2")
}

// vniOf is the VNI of an interface in a range, without others.
func vniOf(id string, from, to uint32) uint32 {
	sum := sha256.Sum256([]byte(id))
	return from + uint32(binary.BigEndian.Uint64(sum[:])%uint64(to-from+1))
}

// In a range of five each has the next free one, around the end, until none is left.
func TestVNIChain(t *testing.T) {
	rules := parse(t, "vni: {from: 10, to: 14}\n"+everything)
	plan := mirror.Make(rules, state(sources(1, 6)), nil)
	taken := make(map[uint32]bool)
	wrapped := false
	for i, a := range plan.Actions {
		vni, steps := vniOf(eni(i+1), 10, 14), 0
		for ; taken[vni]; steps++ {
			if vni++; vni == 15 {
				vni, wrapped = 10, true
			}
		}
		offset := ""
		if steps > 0 {
			offset = fmt.Sprint(steps)
		}
		if a.Session.VNI != vni || a.Session.Tags["periscope:vni-offset"] != offset {
			t.Errorf("%s has VNI %d, offset %q, want %d, %q", a.Session.InterfaceID, a.Session.VNI, a.Session.Tags["periscope:vni-offset"], vni, offset)
		}
		taken[vni] = true
	}
	if !wrapped || len(plan.Actions) != 5 {
		t.Errorf("%d are mirrored, want 5; around the end: %v", len(plan.Actions), wrapped)
	}
	if got := reasons(plan); got != "every VNI of the range is taken; make the range larger" {
		t.Errorf("held: %s", got)
	}
}

// A VNI that another has, or a rule names, is not ours; of two that have one, the
// lowest id keeps it.
func TestVNITaken(t *testing.T) {
	rules := parse(t, everything)
	vni := vniOf(eni(1), 1<<20, 1<<24-1)
	create := func(rules *mirror.Rules, others ...mirror.Session) uint32 {
		return mirror.Make(rules, state(sources(1, 1), others...), nil).Actions[0].Session.VNI
	}
	if got := create(rules); got != vni {
		t.Errorf("VNI %d, want %d", got, vni)
	}
	if got := create(rules, foreign(1, 9, 1, vni)); got != vni+1 {
		t.Errorf("beside one of others VNI %d, want %d", got, vni+1)
	}
	fixed := parse(t, everything[:strings.Index(everything, "  - {name")]+
		fmt.Sprintf("  - {name: x, match: {service: [x]}, filter: %s, vni: %d}\n  - {name: all, match: all, filter: %s}\n", filter1, vni, filter1))
	if got := create(fixed); got != vni+1 {
		t.Errorf("beside one that a rule names VNI %d, want %d", got, vni+1)
	}
	sessions := made(mirror.Make(rules, state(sources(1, 2)), nil), 1)
	sessions[0].VNI, sessions[1].VNI = vni, vni
	plan := mirror.Make(rules, state(sources(1, 2), sessions...), nil)
	if check(t, plan, "modify 2"); plan.Actions[0].Session.VNI != vniOf(eni(2), 1<<20, 1<<24-1) {
		t.Errorf("the second gets VNI %d", plan.Actions[0].Session.VNI)
	}
	check(t, mirror.Make(rules, state(sources(1, 2), sessions[0], sessions[1], foreign(9, 9, 1, vni)), nil), "modify 1, modify 2")
}

func TestSharedVNI(t *testing.T) {
	rules := parse(t, strings.Replace(everything, "match: all", "match: all, vni: 7", 1))
	plan := mirror.Make(rules, state(sources(1, 2)), nil)
	for _, a := range plan.Actions {
		if a.Session.VNI != 7 {
			t.Errorf("VNI %d, want 7", a.Session.VNI)
		}
	}
	check(t, mirror.Make(rules, state(sources(1, 2), made(plan, 1)...), nil), "")
}

// A token holds until the ten minutes are over.
func TestGeneration(t *testing.T) {
	rules := parse(t, everything)
	at := func(d time.Duration) string {
		s := state(sources(1, 1))
		s.At = start.Add(d)
		return mirror.Make(rules, s, nil).Actions[0].Token
	}
	for d, same := range map[time.Duration]bool{-1: false, 1: true, 10*time.Minute - 1: true, 10 * time.Minute: false} {
		if got := at(d) == at(0); got != same {
			t.Errorf("after %v: the same token %v, want %v", d, got, same)
		}
	}
}

func TestRefused(t *testing.T) {
	rules, s := parse(t, everything), state(sources(1, 1))
	wish := mirror.Make(rules, s, nil).Actions[0].Session
	refuse := func(code, target string) mirror.Refused {
		wish := wish
		wish.TargetID = target
		return mirror.Refused{Refusal: mirror.Refusal{Code: code, Message: "no"}, Session: wish, Until: s.At.Add(1), Times: 1}
	}
	const full = "TrafficMirrorSourcesPerTargetLimitExceeded"
	for name, tt := range map[string]struct {
		refused []mirror.Refused
		want    string // the target, or none
	}{
		"none":                 {nil, targetA},
		"for good":             {[]mirror.Refused{refuse("Unsupported", targetA)}, ""},
		"another wish":         {[]mirror.Refused{refuse("Unsupported", targetB)}, targetA},
		"a full target":        {[]mirror.Refused{refuse(full, targetA)}, targetB},
		"two full targets":     {[]mirror.Refused{refuse(full, targetA), refuse(full, targetB)}, targetN},
		"all targets are full": {[]mirror.Refused{refuse(full, targetA), refuse(full, targetB), refuse(full, targetN)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			plan := mirror.Make(rules, s, map[string][]mirror.Refused{eni(1): tt.refused})
			switch {
			case tt.want == "" && (len(plan.Actions) != 0 || len(plan.Held) != 1 || plan.Held[0].Refused == nil || !strings.Contains(plan.Held[0].Reason, ": no")):
				t.Errorf("%s; held %+v", verbs(plan), plan.Held)
			case tt.want != "" && (len(plan.Actions) != 1 || plan.Actions[0].Session.TargetID != tt.want):
				t.Errorf("%+v, want target %s", plan.Actions, tt.want)
			}
			later := *s
			later.At = s.At.Add(1)
			if plan := mirror.Make(rules, &later, map[string][]mirror.Refused{eni(1): tt.refused}); len(plan.Actions) != 1 || plan.Actions[0].Session.TargetID != targetA {
				t.Errorf("when the wait is over: %+v", plan.Actions)
			}
		})
	}
}
