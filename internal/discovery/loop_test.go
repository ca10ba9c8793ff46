package discovery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/periscope-collector/periscope/internal/awsapi"
	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
	"github.com/periscope-collector/periscope/session/journal"
)

// A desk answers as one account in one region does.
type desk struct {
	mu         sync.Mutex
	account    string
	role       string
	sessions   map[string]awsapi.MirrorSession
	interfaces map[string]awsapi.Interface
	instances  map[string]awsapi.Instance
	targets    map[string]awsapi.Target
	tasks      map[string]awsapi.Task // by ARN
	fail       map[string]error       // by operation
	calls      map[string]uint64
}

func newDesk(account string) *desk {
	return &desk{
		account: account, sessions: make(map[string]awsapi.MirrorSession), interfaces: make(map[string]awsapi.Interface),
		instances: make(map[string]awsapi.Instance), targets: make(map[string]awsapi.Target),
		tasks: make(map[string]awsapi.Task), fail: make(map[string]error), calls: make(map[string]uint64),
	}
}

// change changes what the desk says.
func (d *desk) change(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

func ask[T any](d *desk, operation string, ids []string, from map[string]T) ([]T, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls[operation]++
	if err := d.fail[operation]; err != nil {
		return nil, err
	}
	if ids == nil {
		ids = slices.Sorted(maps.Keys(from))
	}
	var found []T
	for _, id := range ids {
		if item, ok := from[id]; ok {
			found = append(found, item)
		}
	}
	return found, nil
}

func (d *desk) RoleARN() string { return d.role }
func (d *desk) Region() string  { return "eu-central-1" }
func (d *desk) Close()          {}
func (d *desk) Calls() map[string]uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.calls)
}

func (d *desk) Identity(context.Context) (string, error) {
	_, err := ask(d, "Identity", nil, map[string]int{})
	return d.account, err
}

func (d *desk) Sessions(context.Context) ([]awsapi.MirrorSession, error) {
	return ask(d, "Sessions", nil, d.sessions)
}

func (d *desk) Targets(context.Context) ([]awsapi.Target, error) {
	return ask(d, "Targets", nil, d.targets)
}

func (d *desk) Interfaces(_ context.Context, ids []string) ([]awsapi.Interface, error) {
	return ask(d, "Interfaces", ids, d.interfaces)
}

func (d *desk) Instances(_ context.Context, ids []string) ([]awsapi.Instance, error) {
	return ask(d, "Instances", ids, d.instances)
}

func (d *desk) VPCs(_ context.Context, ids []string) ([]awsapi.VPC, error) {
	return ask(d, "VPCs", ids, map[string]awsapi.VPC{"vpc-1": {ID: "vpc-1", CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")}}})
}

func (d *desk) Subnets(_ context.Context, ids []string) ([]awsapi.Subnet, error) {
	return ask(d, "Subnets", ids, map[string]awsapi.Subnet{"subnet-1": {ID: "subnet-1", CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}}})
}

func (d *desk) Clusters(context.Context) ([]string, error) {
	all, err := ask(d, "Clusters", nil, d.tasks)
	set := make(map[string]bool)
	for _, t := range all {
		set[t.ClusterARN] = true
	}
	return slices.Sorted(maps.Keys(set)), err
}

func (d *desk) TaskARNs(_ context.Context, cluster string, stopped bool) ([]string, error) {
	all, err := ask(d, "TaskARNs", nil, d.tasks)
	var arns []string
	for _, t := range all {
		if last(t.ClusterARN) == last(cluster) && t.Stopped.IsZero() != stopped {
			arns = append(arns, t.ARN)
		}
	}
	return arns, err
}

func (d *desk) Tasks(_ context.Context, _ string, arns []string) ([]awsapi.Task, error) {
	return ask(d, "Tasks", arns, d.tasks)
}

// run starts a task with a mirrored interface.
func (d *desk) run(name, address string, vni uint32, created int) {
	d.change(func() {
		face := eni(name, address, created+2)
		task := taskOf(face, created)
		d.interfaces[face.ID], d.tasks[task.ARN] = *face, *task
		d.sessions["tms-"+name] = awsapi.MirrorSession{ID: "tms-" + name, InterfaceID: face.ID, TargetID: "tmt-1", VNI: vni, Number: 1}
	})
}

// stop ends it, at a time.
func (d *desk) stop(name string, at time.Time) {
	d.change(func() {
		arn := taskOf(eni(name, "10.0.0.1", 0), 0).ARN
		t := d.tasks[arn]
		t.LastStatus, t.Stopped = "STOPPED", at
		d.tasks[arn] = t
		delete(d.interfaces, "eni-"+name)
		delete(d.sessions, "tms-"+name)
	})
}

// A rig is a discovery that asks desks.
type rig struct {
	*Discovery
	table *session.Table
	log   *logged
}

// logged keeps what is logged.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// lines returns the lines that contain a text, since the last time.
func (l *logged) lines(text string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

func newRig(t *testing.T, j *journal.Journal, desks ...*desk) *rig {
	t.Helper()
	r := &rig{log: &logged{}}
	log := slog.New(slog.NewTextHandler(r.log, nil))
	var d *Discovery
	r.table = session.New(session.Config{
		Workers: 1, UnknownMax: 1000, BySource: true, Log: log,
		Stranger: func(s *packet.Session) { d.Stranger(s) },
	})
	c := config.DefaultAWS()
	d = New(Config{AWS: c, Table: r.table, Journal: j, Log: log})
	d.metadata = func(context.Context) (awsapi.Self, error) { return awsapi.Self{}, errors.New("none") }
	d.scopes = nil
	for _, desk := range desks {
		d.scopes = append(d.scopes, newScope(d, desk))
	}
	r.Discovery = d
	return r
}

// start runs the discovery until the end of the test.
func (r *rig) start(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	synctest.Wait()
}

// find returns the session of a frame of now that the interface eni-<face> sends.
func (r *rig) find(vni uint32, address, face string) *packet.Session {
	source := netip.MustParseAddr(address)
	data := make([]byte, packet.EthernetLen+20)
	copy(data[6:], []byte{2, face[0]})
	data[12] = 0x08
	copy(data[packet.EthernetLen+12:], source.AsSlice())
	s, reason := r.table.Lookup(&packet.Frame{VNI: vni, Source: packet.AddrFrom(source), Time: time.Now().UnixNano(), Data: data})
	if s == nil {
		panic(reason)
	}
	return s
}

func (r *rig) name(vni uint32, address, face string) string { return r.find(vni, address, face).Name }

// now is the second of tests that the clock shows.
func now() int { return int(time.Since(epoch) / time.Second) }

func openJournal(t *testing.T, path string) *journal.Journal {
	t.Helper()
	j, err := journal.Open(path, journal.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func TestPollAndChurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk("111122223333")
		r := newRig(t, nil, d)
		d.run("a", "10.0.0.1", 7, now())
		r.start(t)
		if got := r.name(7, "10.0.0.1", "a"); got != "web-aaaaaaaa" {
			t.Errorf("at the start: %s", got)
		}
		// b takes a's address within the poll.
		d.stop("a", time.Now())
		d.run("b", "10.0.0.1", 7, now())
		time.Sleep(2 * time.Second)
		if got := r.name(7, "10.0.0.1", "b"); got != "vni-7-10.0.0.1" { // a stranger
			t.Errorf("before the look: %s", got)
		}
		synctest.Wait()
		time.Sleep(between)
		synctest.Wait()
		if got := r.name(7, "10.0.0.1", "b"); got != "web-bbbbbbbb" {
			t.Errorf("after the look: %s", got)
		}
		if got := r.name(7, "10.0.0.1", "a"); got == "web-aaaaaaaa" || got == "web-bbbbbbbb" {
			t.Errorf("a frame of a task that is gone: %s", got)
		}
	})
}

func TestStrangerIsAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk("111122223333")
		r := newRig(t, nil, d)
		r.start(t)
		time.Sleep(5 * time.Second)
		looks := func() uint64 { return d.Calls()["Sessions"] }
		if n := looks(); n != 1 {
			t.Fatalf("%d looks at the start", n)
		}
		for n := range 200 { // many at once
			r.Stranger(&packet.Session{VNI: uint32(n), Source: packet.AddrFrom4([4]byte{10, 0, 0, 1})})
		}
		synctest.Wait()
		time.Sleep(between + time.Second)
		if n := looks(); n != 2 && n != 3 {
			t.Errorf("%d looks for 200 strangers, want one or two more than 1", n)
		}
		before := looks()
		time.Sleep(5 * time.Second)
		r.Stranger(&packet.Session{VNI: 1, Source: packet.AddrFrom4([4]byte{10, 0, 0, 1})})
		time.Sleep(5 * time.Second)
		if n := looks(); n != before {
			t.Errorf("a stranger that was asked about is again: %d looks, were %d", n, before)
		}
	})
}

func TestStrangersAreBounded(t *testing.T) {
	s := strangers{asked: make(map[identity]pause)}
	at := epoch
	for n := range 2 * maxStrangers {
		if asked := s.ask(identity{vni: uint32(n)}, at); asked != (n < maxStrangers) {
			t.Fatalf("stranger %d: asked %v", n, asked)
		}
	}
	at = at.Add(absentShortest)
	if !s.ask(identity{vni: maxStrangers}, at) || len(s.asked) > maxStrangers {
		t.Errorf("no room after the pause; %d remembered", len(s.asked))
	}
}

func TestPauseDoubles(t *testing.T) {
	var s strangers
	s.asked = make(map[identity]pause)
	var got []time.Duration
	asked := epoch
	for at := epoch; at.Before(epoch.Add(time.Hour)); at = at.Add(time.Second) {
		if s.ask(identity{vni: 7}, at) {
			got = append(got, at.Sub(asked))
			asked = at
		}
	}
	want := []time.Duration{0, 30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 10 * time.Minute, 10 * time.Minute, 10 * time.Minute, 10 * time.Minute}
	if !slices.Equal(got, want) {
		t.Errorf("asked after %v, want %v", got, want)
	}
	s.known([]session.Entry{{VNI: 7}})
	if !s.ask(identity{vni: 7}, asked) {
		t.Error("not asked although an entry explained it meanwhile")
	}
}

func TestUnreachableForAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk("111122223333")
		r := newRig(t, nil, d)
		d.run("a", "10.0.0.1", 7, now())
		r.start(t)
		d.change(func() {
			for _, op := range []string{"Sessions", "Interfaces", "Tasks", "TaskARNs"} {
				d.fail[op] = fmt.Errorf("no answer")
			}
		})
		if r.Status()[0].StaleSince != (time.Time{}) {
			t.Error("stale at once")
		}
		before := d.Calls()["Sessions"]
		success := r.Status()[0].LastSuccess
		for range 60 {
			time.Sleep(time.Minute)
			r.Stranger(&packet.Session{VNI: 9, Source: packet.AddrFrom4([4]byte{10, 9, byte(now()), 1})})
			if got := r.name(7, "10.0.0.1", "a"); got != "web-aaaaaaaa" {
				t.Fatalf("while AWS is away: %s", got)
			}
		}
		status := r.Status()[0]
		if status.StaleSince != success || status.ErrorKind != "other" || status.Error != "no answer" || status.Sessions != 1 {
			t.Errorf("status %+v", status)
		}
		if n := d.Calls()["Sessions"] - before; n < 12 || n > 18 { // 30 s, 1, 2, 4, 5 min and then every 5 min
			t.Errorf("%d calls in an hour", n)
		}
		if n := r.log.lines("does not answer"); n != 1 {
			t.Errorf("%d lines about the failure", n)
		}
		d.change(func() { clear(d.fail) })
		d.run("b", "10.0.0.2", 7, now())
		time.Sleep(failLongest + failLongest/5)
		synctest.Wait()
		status = r.Status()[0]
		if !status.StaleSince.IsZero() || status.Error != "" || status.Sessions != 2 {
			t.Errorf("status %+v", status)
		}
		if n := r.log.lines("answers again"); n != 1 {
			t.Errorf("%d lines about the recovery", n)
		}
	})
}

func TestOneScopeRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good, bad := newDesk("111122223333"), newDesk("444455556666")
		bad.role = "arn:aws:iam::444455556666:role/periscope"
		bad.fail["Sessions"] = errors.New("refused")
		r := newRig(t, nil, bad, good)
		good.run("a", "10.0.0.1", 7, now())
		r.start(t)
		if got := r.name(7, "10.0.0.1", "a"); got != "web-aaaaaaaa" {
			t.Errorf("the good one's: %s", got)
		}
		status := r.Status()
		if status[0].Account != "444455556666" || status[0].Error != "refused" || status[1].Error != "" || status[1].Sessions != 1 {
			t.Errorf("status %+v", status)
		}
	})
}

func TestRestartWithoutAWS(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions.journal")
	synctest.Test(t, func(t *testing.T) {
		d := newDesk("111122223333")
		j := openJournal(t, path)
		r := newRig(t, j, d)
		d.run("a", "10.0.0.1", 7, now())
		d.run("b", "10.0.0.2", 7, now())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); r.Run(ctx) }()
		synctest.Wait()
		d.stop("b", time.Now())
		time.Sleep(time.Minute)
		cancel()
		<-done
		before := r.table.Sessions()
		j.Close()

		away := newDesk("111122223333")
		away.fail["Sessions"] = errors.New("no answer")
		j = openJournal(t, path)
		r = newRig(t, j, away)
		if got := r.name(7, "10.0.0.1", "a"); got != "web-aaaaaaaa" {
			t.Errorf("before any call: %s", got)
		}
		if got := r.name(7, "10.0.0.2", "b"); got != "vni-7-10.0.0.2" {
			t.Errorf("of a task that stopped: %s", got)
		}
		r.start(t)
		time.Sleep(time.Hour)
		if got := r.name(7, "10.0.0.1", "a"); got != "web-aaaaaaaa" {
			t.Errorf("an hour later: %s", got)
		}

		// AWS is back: nothing is other than it was.
		journaled := r.find(7, "10.0.0.1", "a")
		away.change(func() { clear(away.fail) })
		away.run("a", "10.0.0.1", 7, int(before[0].From-epoch.UnixNano())/int(time.Second))
		time.Sleep(2 * failLongest)
		if got := r.find(7, "10.0.0.1", "a"); got != journaled {
			t.Errorf("another session:\n%+v\nwas\n%+v", got, journaled)
		}
		if n := away.Calls()["Tasks"]; n != 0 {
			t.Errorf("a task that the journal knows was asked for %d times", n)
		}
	})
}

func TestScopeNoLongerConfigured(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions.journal")
	synctest.Test(t, func(t *testing.T) {
		j := openJournal(t, path)
		gone := session.Entry{Name: "gone", VNI: 7, Source: packet.AddrFrom4([4]byte{10, 0, 0, 1}), Learned: true}
		gone.Workload.AccountID, gone.Workload.Region = "999900001111", "eu-central-1"
		gone.Workload.InterfaceID, gone.Workload.SessionID = "eni-9", "tms-9"
		if err := j.Append([]session.Entry{gone}); err != nil {
			t.Fatal(err)
		}
		r := newRig(t, j, newDesk("111122223333"))
		r.start(t)
		if n := len(r.table.Sessions()); n != 1 {
			t.Errorf("%d sessions after the first look", n)
		}
		time.Sleep(3 * time.Minute)
		if n := len(r.table.Sessions()); n != 0 {
			t.Errorf("%d sessions of an account that nobody asks", n)
		}
	})
}
