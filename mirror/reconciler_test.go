package mirror_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/mirror"
	"github.com/periscope-collector/periscope/mirror/changes"
)

// A desk is a cloud that does what a test says, and a reconciler at it.
type desk struct {
	mirror.State // that Look shows; sessions that are made are added by the test
	now          time.Time
	calls        []string // "create 1" and so on, of the round
	answer       func(verb mirror.Verb, s *mirror.Session) error
	lookErr      error
	looks        [][]mirror.Hint
	tokens       []string
	log          bytes.Buffer
	said         []changes.Change
	sayErr       func(changes.Change) error
	r            *mirror.Reconciler
}

func newDesk(t testing.TB, rules string, sources []mirror.Source) *desk {
	d := &desk{State: *state(sources), now: start}
	d.At = time.Time{}
	d.begin(parse(t, rules))
	return d
}

// begin begins anew, without memory.
func (d *desk) begin(rules *mirror.Rules) {
	d.r = mirror.New(mirror.Config{
		Rules: rules, Cloud: d, Account: account, Region: "eu-central-1", Now: func() time.Time { return d.now },
		Log: slog.New(slog.NewTextHandler(&d.log, nil)),
		Changes: func(_ context.Context, c changes.Change) error {
			if d.sayErr != nil {
				if err := d.sayErr(c); err != nil {
					return err
				}
			}
			d.said = append(d.said, c)
			return nil
		},
	})
}

func (d *desk) Look(_ context.Context, hints []mirror.Hint) (*mirror.State, error) {
	d.looks = append(d.looks, hints)
	if d.lookErr != nil {
		return nil, d.lookErr
	}
	s := d.State
	s.Sessions = slices.Clone(s.Sessions)
	return &s, nil
}

func (d *desk) ask(verb mirror.Verb, s *mirror.Session) error {
	d.calls = append(d.calls, fmt.Sprintf("%s %s", verb, strings.TrimLeft(s.InterfaceID[4:], "0")))
	if d.answer == nil {
		return nil
	}
	return d.answer(verb, s)
}

func (d *desk) Create(_ context.Context, s mirror.Session, token string) (mirror.Session, error) {
	d.tokens = append(d.tokens, token)
	err := d.ask(mirror.Create, &s)
	s.ID = tms(1000 + len(d.tokens))
	return s, err
}

func (d *desk) Modify(_ context.Context, s mirror.Session) error { return d.ask(mirror.Modify, &s) }

func (d *desk) Delete(_ context.Context, id string) error {
	for _, s := range d.Sessions {
		if s.ID == id {
			return d.ask(mirror.Delete, &s)
		}
	}
	return d.ask(mirror.Delete, &mirror.Session{InterfaceID: "eni-" + id[len(id)-1:]})
}

// round does one after some time, and checks the calls.
func (d *desk) round(t *testing.T, after time.Duration, want string) *mirror.Report {
	t.Helper()
	d.now = d.now.Add(after)
	d.calls = nil
	report, _ := d.r.Reconcile(t.Context(), nil)
	if got := strings.Join(d.calls, ", "); got != want {
		t.Errorf("after %v: calls %q, want %q", after, got, want)
	}
	return report
}

// kinds returns the changes that were written, as "created 1".
func (d *desk) kinds() string {
	var list []string
	for _, c := range d.said {
		list = append(list, fmt.Sprintf("%s %s", c.Kind, strings.TrimLeft(c.InterfaceID[4:], "0")))
	}
	return strings.Join(list, ", ")
}

func refuse(code, message string) func(mirror.Verb, *mirror.Session) error {
	return func(mirror.Verb, *mirror.Session) error {
		return fmt.Errorf("ec2: %w", &mirror.Refusal{Code: code, Message: message})
	}
}

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

// A refusal is said once, in AWS's words, and again when these change; the wish waits
// for 1 min, doubling up to 1 h.
func TestRefusal(t *testing.T) {
	d := newDesk(t, toOne, sources(1, 1))
	d.answer = refuse("OperationNotSupported", "not this one")
	report := d.round(t, 0, "create 1")
	if r := report.Results[0]; r.Outcome != mirror.Denied || r.Err == nil || report.More {
		t.Errorf("%+v", report)
	}
	for _, wait := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		d.round(t, wait*time.Minute-1, "")
		d.round(t, 1, "create 1")
	}
	refused := d.r.Refused()[eni(1)]
	if len(refused) != 1 || refused[0].Times != 9 || refused[0].Code != "OperationNotSupported" || !refused[0].First.Equal(start) {
		t.Errorf("%+v", refused)
	}
	if got := d.kinds(); got != "refused 1" {
		t.Errorf("changes %s", got)
	}
	c := d.said[0]
	want := changes.Change{At: start, Kind: changes.Refused, Account: account, Region: "eu-central-1",
		InterfaceID: eni(1), TargetID: targetA, FilterID: filter1, Number: 1, VNI: c.VNI, Address: source(1).Address,
		MAC: "02:00:00:00:00:01", VPCID: "vpc-00000001", SubnetID: "subnet-00000001", AZID: "euc1-az1",
		ECS: &changes.ECS{Cluster: "prod", ClusterARN: "arn:aws:ecs:eu-central-1:111122223333:cluster/prod", Service: "web",
			TaskARN: source(1).Task.ARN},
		Rule: "all", Reason: `rule "all" wants it`, Code: "OperationNotSupported", Message: "not this one"}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("%+v, want %+v", c, want)
	}
	if n := strings.Count(d.log.String(), `code=OperationNotSupported message="not this one"`); n != 1 {
		t.Errorf("logged %d times:\n%s", n, d.log.String())
	}
	d.answer = refuse("OperationNotSupported", "still not")
	d.round(t, time.Hour, "create 1")
	if got := d.kinds(); got != "refused 1, refused 1" || strings.Count(d.log.String(), `message="still not"`) != 1 {
		t.Errorf("with another message: changes %s", got)
	}
	d.answer = nil
	d.round(t, time.Hour, "create 1")
	if len(d.r.Refused()) != 0 {
		t.Errorf("refused after success: %v", d.r.Refused())
	}
}

// Another wish is tried at once.
func TestRefusalOfAnotherWish(t *testing.T) {
	d := newDesk(t, toOne, sources(1, 1))
	d.answer = refuse("Unsupported", "no")
	d.round(t, 0, "create 1")
	d.round(t, 1, "")
	d.r.SetRules(parse(t, strings.Replace(toOne, "match: all", "match: all, number: 2", 1)))
	d.round(t, 1, "create 1")
	d.r.SetRules(parse(t, strings.Replace(toOne, "match: all", "match: all, vni: 7", 1)))
	d.round(t, 1, "create 1")
	d.round(t, 1, "")
	d.r.SetRules(parse(t, toOne))
	d.round(t, 1, "")
	d.round(t, time.Minute, "create 1")
}

// A target that has no room is followed by the next one at once.
func TestRefusalOfTarget(t *testing.T) {
	d := newDesk(t, everything, sources(1, 1))
	d.answer = func(_ mirror.Verb, s *mirror.Session) error {
		if s.TargetID != targetN {
			return &mirror.Refusal{Code: "TrafficMirrorSourcesPerTargetLimitExceeded", Message: "(11)"}
		}
		return nil
	}
	for _, more := range []bool{true, true, false} {
		if report := d.round(t, 0, "create 1"); report.More != more {
			t.Errorf("more %v, want %v", report.More, more)
		}
	}
	d.round(t, time.Second, "")
	if got := d.kinds(); got != "refused 1, refused 1, created 1" || d.said[2].TargetID != targetN {
		t.Errorf("changes %s", got)
	}
	if n := strings.Count(d.log.String(), `message=(11)`); n != 1 {
		t.Errorf("logged %d times:\n%s", n, d.log.String())
	}
}

// Who is refused takes no place that another one could have.
func TestRefusedGoLast(t *testing.T) {
	d := newDesk(t, strings.Replace(toOne, targetA+"}", targetA+", max_sources: 1}", 1), sources(1, 2))
	d.answer = func(_ mirror.Verb, s *mirror.Session) error {
		if s.InterfaceID == eni(1) {
			return &mirror.Refusal{Code: "Unsupported", Message: "no"}
		}
		return nil
	}
	d.round(t, 0, "create 1")
	d.round(t, time.Minute, "create 2")
}

// A process that begins anew waits as the one before did, and each writes that it
// was refused once.
func TestRestore(t *testing.T) {
	d := newDesk(t, toOne, sources(1, 1))
	d.answer = refuse("Unsupported", "no")
	d.round(t, 0, "create 1")
	for i, wait := range []time.Duration{1, 2, 4} {
		d.begin(parse(t, toOne))
		d.r.Restore(d.said)
		d.round(t, wait*time.Minute-1, "")
		d.round(t, 1, "create 1")
		if len(d.said) != i+2 {
			t.Errorf("process %d: %d changes, want %d", i, len(d.said), i+2)
		}
	}
	d.round(t, 8*time.Minute, "create 1")
	if len(d.said) != 4 {
		t.Errorf("%d changes, want 4", len(d.said))
	}
	d.said[3].At = d.now
	d.begin(parse(t, toOne))
	d.r.Restore(d.said)
	d.round(t, 0, "")
	d.r.Restore([]changes.Change{{Kind: changes.Created, InterfaceID: eni(1)}})
	d.round(t, 0, "create 1")
}

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

// What is refused is forgotten an hour after its wait, or when the interface is as it
// is wanted.
func TestForget(t *testing.T) {
	d := newDesk(t, toOne, sources(1, 2))
	d.answer = refuse("Unsupported", "no")
	d.round(t, 0, "create 1, create 2")
	d.Sources = sources(2, 2)
	d.Sessions = made(mirror.Make(parse(t, toOne), state(sources(2, 2)), nil), 1)
	d.round(t, time.Minute, "")
	if len(d.r.Refused()) != 2 {
		t.Errorf("refused %v", d.r.Refused())
	}
	d.round(t, 1, "")
	if r := d.r.Refused(); len(r) != 1 || r[eni(1)] == nil {
		t.Errorf("refused %v", d.r.Refused())
	}
	d.round(t, time.Hour, "")
	if len(d.r.Refused()) != 0 {
		t.Errorf("refused %v", d.r.Refused())
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
