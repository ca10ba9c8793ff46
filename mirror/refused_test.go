package mirror_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/mirror"
	"github.com/periscope-collector/periscope/mirror/changes"
)

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
