package mirror_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/mirror"
)

// That an interface is gone is no refusal, and not asked again at once.
func TestInterfaceGone(t *testing.T) {
	d := newDesk(t, toOne, sources(1, 1))
	d.answer = func(mirror.Verb, *mirror.Session) error { return fmt.Errorf("eni: %w", mirror.ErrGone) }
	if report := d.round(t, 0, "create 1"); report.Results[0].Outcome != mirror.Gone {
		t.Errorf("%+v", report.Results)
	}
	d.round(t, time.Second-1, "")
	d.round(t, 1, "create 1")
	d.Sources = nil
	d.round(t, time.Hour, "")
	if d.said != nil || len(d.r.Refused()) != 0 {
		t.Errorf("changes %v, refused %v", d.said, d.r.Refused())
	}
}

// A session that is gone need not be deleted; one that cannot be modified is made.
func TestSessionGone(t *testing.T) {
	d := newDesk(t, toOne, sources(1, 1))
	d.Sessions = made(mirror.Make(parse(t, toOne), state(sources(1, 2)), nil), 1)
	d.Sessions[0].Number = 9
	d.answer = func(verb mirror.Verb, _ *mirror.Session) error {
		if verb == mirror.Create {
			return nil
		}
		return mirror.ErrGone
	}
	report := d.round(t, 0, "modify 1, delete 2")
	if !report.More || report.Results[0].Outcome != mirror.Gone || report.Results[1].Outcome != mirror.Gone {
		t.Errorf("%+v", report)
	}
	d.round(t, 0, "create 1")
	d.round(t, time.Second, "")
	if got := d.kinds(); got != "deleted 2, created 1" {
		t.Errorf("changes %s", got)
	}
}

// What was done is believed for a minute, whatever is listed.
func TestLateLists(t *testing.T) {
	d := newDesk(t, toOne, sources(1, 1))
	d.round(t, 0, "create 1")
	d.round(t, time.Minute-1, "")
	d.round(t, 1, "create 1") // somebody has deleted it, so the token is another
	if d.tokens[0] == d.tokens[1] {
		t.Error("a session that is gone is asked for by its token")
	}
	d.Sessions = []mirror.Session{{ID: tms(1002), InterfaceID: eni(1), TargetID: targetA, FilterID: filter1, Number: 1,
		VNI: d.said[0].VNI, OwnerID: account, Tags: map[string]string{"periscope:owner": "periscope"}}}
	d.round(t, time.Minute, "")
	d.Sources = nil
	d.round(t, 0, "delete 1")
	d.round(t, time.Minute-1, "")
	d.round(t, 1, "delete 1")
	d.Sources = sources(1, 1)
	d.Sessions = nil
	d.round(t, 0, "create 1")
	if slices.Contains(d.tokens[:2], d.tokens[2]) {
		t.Error("a session that we deleted is asked for by its token")
	}
}

// A session whose number a listed one has is no more: its token gave it back.
func TestGhost(t *testing.T) {
	d := newDesk(t, toOne, sources(1, 1))
	d.round(t, 0, "create 1")
	d.Sessions = made(mirror.Make(parse(t, toOne), state(sources(1, 1)), nil), 2000)
	d.round(t, time.Second, "")
	d.Sessions[0].ID = tms(1)
	d.round(t, time.Second, "")
}

// An interface that was mirrored a moment ago may be missing in a list.
func TestFreshInterface(t *testing.T) {
	d := newDesk(t, toOne, sources(1, 1))
	d.round(t, 0, "create 1")
	d.Sources = nil
	d.Sessions = []mirror.Session{{ID: tms(1001), InterfaceID: eni(1), Tags: map[string]string{"periscope:owner": "periscope"}}}
	d.round(t, time.Minute-1, "")
	d.Gone = []string{eni(1)} // but who says that it is gone is believed
	d.round(t, 0, "delete 1")
	d.begin(parse(t, toOne))
	d.Gone = nil
	d.round(t, 0, "delete 1")
}

// Room that a deletion makes is used at once.
func TestRoom(t *testing.T) {
	d := newDesk(t, toOne, sources(1, 10))
	d.Sessions = made(mirror.Make(parse(t, toOne), state(sources(1, 10)), nil), 1)
	d.Sources = sources(2, 11)
	if report := d.round(t, 0, "delete 1"); !report.More {
		t.Error("there is no more")
	}
	if report := d.round(t, 0, "create b"); report.More {
		t.Error("there is more")
	}
}
