package mirror_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/mirror"
)

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
