package mirror_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/periscope-collector/periscope/mirror"
	"github.com/periscope-collector/periscope/mirror/changes"
)

func TestRoundLimit(t *testing.T) {
	d := newDesk(t, strings.Replace(toOne, targetA, targetN, 1), sources(1, 250))
	for i, want := range []int{100, 100, 50} {
		d.calls = nil
		report, err := d.r.Reconcile(t.Context(), nil)
		if err != nil || len(d.calls) != want || report.More != (i < 2) {
			t.Fatalf("round %d: %d calls, want %d; more %v, %v", i, len(d.calls), want, report.More, err)
		}
		if delayed := report.Results[len(report.Results)-1].Outcome == mirror.Delayed; delayed != (i < 2) {
			t.Errorf("round %d: delayed %v", i, delayed)
		}
	}
	d.round(t, time.Second, "")
}

// When nothing can be reached, five creations and five deletions are tried, the next
// time others.
func TestAway(t *testing.T) {
	d := newDesk(t, everything, nil)
	for n := 20; n < 30; n++ {
		s := foreign(n, n, 1, uint32(n))
		s.Tags = map[string]string{"periscope:owner": "periscope"}
		d.Sessions = append(d.Sessions, s)
	}
	d.Sources = sources(1, 9)
	d.answer = func(mirror.Verb, *mirror.Session) error { return errors.New("no route") }
	d.round(t, 0, "create 1, create 2, create 3, create 4, create 5, delete 14, delete 15, delete 16, delete 17, delete 18")
	d.round(t, time.Millisecond, "create 6, create 7, create 8, create 9, delete 19, delete 1a, delete 1b, delete 1c, delete 1d")
	d.round(t, 0, "")
	d.round(t, 999*time.Millisecond, "create 1, create 2, create 3, create 4, create 5, delete 14, delete 15, delete 16, delete 17, delete 18")
	d.answer = nil
	d.Sessions = nil
	d.round(t, time.Minute, "create 6, create 7, create 8, create 9, create 1, create 2, create 3, create 4, create 5")
}

// The pause of a call that fails is 1 s, doubling up to 1 min, and is over after a
// success.
func TestPause(t *testing.T) {
	d := newDesk(t, toOne, sources(1, 1))
	d.answer = func(mirror.Verb, *mirror.Session) error { return errors.New("timeout") }
	d.round(t, 0, "create 1")
	for _, wait := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		d.round(t, wait*time.Second-1, "")
		d.round(t, 1, "create 1")
	}
	if _, err := d.r.Reconcile(t.Context(), nil); err != nil {
		t.Errorf("a round in which nothing fails: %v", err)
	}
	d.now = d.now.Add(time.Minute)
	if _, err := d.r.Reconcile(t.Context(), nil); err == nil || err.Error() != "1 of 1 calls failed, the first: create session of "+eni(1)+": timeout" {
		t.Errorf("%v", err)
	}
	if d.said != nil || len(d.r.Refused()) != 0 {
		t.Errorf("changes %v, refused %v", d.said, d.r.Refused())
	}
}

// A change that cannot be written is kept, and holds up no other.
func TestUnwritten(t *testing.T) {
	d := newDesk(t, strings.Replace(toOne, targetA, targetN, 1), sources(1, 2))
	d.sayErr = func(c changes.Change) error {
		if c.InterfaceID == eni(1) {
			return errors.New("too long")
		}
		return nil
	}
	report := d.round(t, 0, "create 1, create 2")
	if report.Unwritten != 1 || d.kinds() != "created 2" || report.Results[0].Outcome != mirror.Done {
		t.Errorf("unwritten %d, changes %s", report.Unwritten, d.kinds())
	}
	d.sayErr = nil
	if report := d.round(t, 0, ""); report.Unwritten != 0 || d.kinds() != "created 2, created 1" {
		t.Errorf("unwritten %d, changes %s", report.Unwritten, d.kinds())
	}
}

// A change that can never be written is not kept, and the log says that it is lost.
func TestInvalidChange(t *testing.T) {
	d := newDesk(t, strings.Replace(toOne, targetA, targetN, 1), sources(1, 5))
	d.sayErr = func(c changes.Change) error {
		if c.InterfaceID != eni(5) {
			return fmt.Errorf("%w: odd", changes.ErrInvalid)
		}
		return nil
	}
	report := d.round(t, 0, "create 1, create 2, create 3, create 4, create 5")
	if report.Unwritten != 0 || d.kinds() != "created 5" {
		t.Errorf("unwritten %d, changes %s", report.Unwritten, d.kinds())
	}
	if n := strings.Count(d.log.String(), "a change is lost"); n != 4 {
		t.Errorf("logged %d times:\n%s", n, &d.log)
	}
}

// At most 1,000 are kept, the latest; three misses end a round's tries.
func TestUnwrittenLimit(t *testing.T) {
	d := newDesk(t, strings.Replace(toOne, targetA, targetN, 1), sources(1, 1100))
	tries := 0
	d.sayErr = func(changes.Change) error { tries++; return errors.New("the disk is full") }
	for i := range 11 {
		report, _ := d.r.Reconcile(t.Context(), nil)
		want, lost := min(100*(i+1), mirror.MaxUnwritten), 0
		if i == 10 {
			lost = 100
		}
		if report.Unwritten != want || report.Lost != lost || tries != 3*(i+1) {
			t.Errorf("round %d: %d kept, %d lost, %d tries", i, report.Unwritten, report.Lost, tries)
		}
	}
	d.sayErr = nil
	if report := d.round(t, 0, ""); report.Unwritten != 0 || len(d.said) != 1000 || report.Lost != 0 {
		t.Errorf("%d written, %d kept, %d lost", len(d.said), report.Unwritten, report.Lost)
	}
}

// A quota is logged when it is near, and when it is reached.
func TestNoticesOnce(t *testing.T) {
	d := newDesk(t, toOne, sources(1, 8))
	count := func(want int) {
		t.Helper()
		if got := strings.Count(d.log.String(), "a quota is near or reached"); got != want {
			t.Errorf("logged %d times, want %d", got, want)
		}
	}
	_, _ = d.r.Reconcile(t.Context(), nil)
	_, _ = d.r.Reconcile(t.Context(), nil)
	count(1)
	d.Sources = sources(1, 9)
	_, _ = d.r.Reconcile(t.Context(), nil)
	count(1)
	d.Sources = sources(1, 12)
	_, _ = d.r.Reconcile(t.Context(), nil)
	count(2)
}

// Why an interface is held is logged once, however much is looked at.
func TestHeldOnce(t *testing.T) {
	d := newDesk(t, toOne, sources(1, 1))
	d.Sources[0].Type = "branch"
	count := func(want int) {
		t.Helper()
		_, _ = d.r.Reconcile(t.Context(), nil)
		if got := strings.Count(d.log.String(), "an interface is not as it is wanted"); got != want {
			t.Errorf("logged %d times, want %d:\n%s", got, want, d.log.String())
		}
	}
	count(1)
	count(1)
	held := d.Sources
	d.Whole, d.Sources = false, nil
	count(1)
	d.Sources = held
	count(1)
	d.Whole, d.Sources = true, nil
	count(1)
	d.Sources = held
	count(2)
	d.Sources[0].Type = "trunk"
	count(3)
}

func TestPlanDoesNothing(t *testing.T) {
	d := newDesk(t, toOne, sources(1, 1))
	hints := []mirror.Hint{{InstanceID: "i-01234567"}}
	plan, err := d.r.Plan(t.Context(), hints)
	if err != nil || verbs(plan) != "create 1" || d.calls != nil || d.said != nil || !reflect.DeepEqual(d.looks, [][]mirror.Hint{hints}) {
		t.Errorf("%s, %v; calls %v, changes %v, looks %v", verbs(plan), err, d.calls, d.said, d.looks)
	}
	d.lookErr = errors.New("throttled")
	if _, err := d.r.Plan(t.Context(), nil); err == nil || err.Error() != "look at what is mirrored: throttled" {
		t.Errorf("%v", err)
	}
	if report, err := d.r.Reconcile(t.Context(), nil); report != nil || !errors.Is(err, d.lookErr) {
		t.Errorf("%+v, %v", report, err)
	}
}

// Whatever a session is to be is in its token.
func TestToken(t *testing.T) {
	seen := make(map[string]string)
	for name, rules := range map[string]string{
		"as it is": toOne, "owner": "owner: x\n" + toOne, "target": strings.Replace(toOne, targetA, targetN, 1),
		"filter": strings.Replace(toOne, filter1, "tmf-00000002", 1), "number": strings.Replace(toOne, "match: all", "match: all, number: 2", 1),
		"VNI": strings.Replace(toOne, "match: all", "match: all, vni: 7", 1), "another VNI": strings.Replace(toOne, "match: all", "match: all, vni: 8", 1),
		"length": strings.Replace(toOne, "match: all", "match: all, packet_length: 99", 1), "rule": strings.Replace(toOne, "name: all", "name: x", 1),
	} {
		token := mirror.Make(parse(t, rules), state(sources(1, 1)), nil).Actions[0].Token
		if was, ok := seen[token]; ok {
			t.Errorf("%s has the token of %s", name, was)
		}
		seen[token] = name
	}
}

// A call that is under way at the end is made to its end, and what it changed is
// written; one that takes too long is not, and no other is begun.
func TestEnd(t *testing.T) {
	for _, test := range []struct {
		takes   time.Duration // of a call, and of writing a change
		outcome mirror.Outcome
		said    string
	}{
		{mirror.LastCall/2 - 1, mirror.Done, "created 1"},
		{mirror.LastCall - time.Nanosecond, mirror.Done, ""},
		{mirror.LastCall, mirror.Failed, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := newDesk(t, toOne, sources(1, 3))
			round, end := context.WithCancel(t.Context())
			d.busy = func(ctx context.Context) error {
				if round.Err() == nil { // the call: what has gone by before the end does not count
					time.Sleep(time.Hour)
					end()
				}
				select {
				case <-ctx.Done():
				case <-time.After(test.takes):
					synctest.Wait()
				}
				return ctx.Err()
			}
			report, err := d.r.Reconcile(round, nil)
			if report == nil || len(report.Results) != 3 || report.Results[0].Outcome != test.outcome || report.Results[1].Outcome != mirror.Delayed {
				t.Fatalf("%v: %+v, %v", test.takes, report, err)
			}
			if len(d.calls) != 1 || d.kinds() != test.said || report.Unwritten != 0 != (test.outcome == mirror.Done && test.said == "") {
				t.Errorf("%v: calls %v, changes %q, unwritten %d", test.takes, d.calls, d.kinds(), report.Unwritten)
			}
		})
	}
}

// A change that is kept is written to its end, too, when the end comes meanwhile.
func TestEndOfAKeptChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, toOne, sources(1, 1))
		d.sayErr = func(changes.Change) error { return errors.New("the disk is full") }
		if report := d.round(t, 0, "create 1"); report.Unwritten != 1 {
			t.Fatalf("%d unwritten", report.Unwritten)
		}
		ctx, end := context.WithCancel(t.Context())
		d.sayErr = nil
		d.busy = func(ctx context.Context) error {
			end()
			time.Sleep(mirror.LastCall / 2)
			return ctx.Err()
		}
		if report, err := d.r.Reconcile(ctx, nil); err != nil || report.Unwritten != 0 || d.kinds() != "created 1" {
			t.Errorf("changes %q, %v", d.kinds(), err)
		}
	})
}
