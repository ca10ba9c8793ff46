package discovery

import (
	"context"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/awsapi"
	"github.com/periscope-collector/periscope/internal/awsfake"
	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session/journal"
)

const (
	home   = awsfake.HomeAccount
	region = awsfake.HomeRegion
)

// A whole is a discovery that asks the endpoint through the SDK. Its clock is the
// endpoint's too; a look is made by hand.
type whole struct {
	*rig
	*awsfake.Server
	t     *testing.T
	clock time.Time
}

func newWhole(t *testing.T, j *journal.Journal, accounts ...config.Account) *whole {
	w := &whole{t: t, clock: epoch}
	w.Server = awsfake.StartAt(t, func() time.Time { return w.clock })
	w.open(j, accounts...)
	return w
}

// open begins anew, as a restart does.
func (w *whole) open(j *journal.Journal, accounts ...config.Account) {
	w.rig = newRig(w.t, j)
	var clients []*awsapi.Client
	c := awsapi.Config{RatePerSecond: 1e6, Burst: 1e6, Timeout: time.Minute}
	for _, a := range accounts {
		c.Accounts = append(c.Accounts, awsapi.Account{RoleARN: a.RoleARN, ExternalID: a.ExternalID, Regions: a.Regions})
	}
	clients = awsapi.Open(c)
	for _, client := range clients {
		w.scopes = append(w.scopes, newScope(w.Discovery, client))
		w.t.Cleanup(client.Close)
	}
	w.rig.started = w.clock
	w.rig.metadata = func(ctx context.Context) (awsapi.Self, error) {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		return awsapi.Metadata(ctx)
	}
}

// after moves the clock and looks at every scope.
func (w *whole) after(d time.Duration) {
	w.clock = w.clock.Add(d)
	for _, s := range w.scopes {
		s.look(context.Background(), w.clock)
	}
	if w.keeper != nil {
		w.keeper.write()
	}
}

// runTask starts a mirrored task of service web, at the lowest free address.
func (w *whole) runTask(vni uint32, tags ...awsfake.Tag) awsfake.Task {
	w.t.Helper()
	task, err := w.RunTask(awsfake.Run{Account: home, Region: region, Cluster: "prod", Service: "web", Tags: tags})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.Mirror(home, region, task.Interface(), vni); err != nil {
		w.t.Fatal(err)
	}
	return task
}

func (w *whole) stopTask(task awsfake.Task) {
	w.t.Helper()
	if _, err := w.StopTask(task.ARN); err != nil {
		w.t.Fatal(err)
	}
}

// frame returns the session of a frame of now that a task sends.
func (w *whole) frame(vni uint32, task awsfake.Task) *packet.Session {
	w.t.Helper()
	var face awsfake.Interface
	w.Change(func(s *awsfake.State) { face = *s.Region(home, region).Interfaces[task.Interface()] })
	mac, err := net.ParseMAC(face.MAC)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.lookup(vni, netip.MustParseAddr(face.Address), [6]byte(mac), w.clock)
}

// table returns what is in the table, as check wants it, by VNI and source.
func (w *whole) table() (lines []string) {
	for i := range w.tenures {
		if t := &w.tenures[i]; t.inTable(w.clock) {
			lines = append(lines, line(&t.Entry))
		}
	}
	return lines
}

func nameOfTask(task awsfake.Task) string { return "web-" + last(task.ARN)[:8] }

func TestWholeChurn(t *testing.T) {
	w := newWhole(t, openJournal(t, filepath.Join(t.TempDir(), "journal")))
	first := w.runTask(7, awsfake.Tag{Key: "team", Value: "blue"})
	w.after(5 * time.Second)
	check(t, "first", w.table(), nameOfTask(first)+" 7 10.0.0.4 0-")
	e := w.tenures[0].Entry
	wl := e.Workload
	if wl.Cluster != "prod" || wl.Service != "web" || wl.TaskARN != first.ARN || wl.AccountID != home || wl.Region != region ||
		wl.InterfaceID != first.Interface() || len(wl.ContainerIDs) != 1 || wl.Labels["team"] != "blue" || wl.AZID == "" ||
		!slices.Equal(wl.VPCCIDRs, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")}) ||
		!slices.Equal(wl.SubnetCIDRs, wl.VPCCIDRs) || e.MAC == [6]byte{} || len(e.Addresses) != 1 {
		t.Errorf("entry %+v", e)
	}

	w.clock = w.clock.Add(time.Second)
	w.stopTask(first)
	second := w.runTask(7)
	w.after(4 * time.Second)
	check(t, "second", w.table(), nameOfTask(first)+" 7 10.0.0.4 0-6", nameOfTask(second)+" 7 10.0.0.4 6-")
	w.after(time.Minute)
	check(t, "a minute later", w.table(), nameOfTask(second)+" 7 10.0.0.4 6-")
	all, err := w.keeper.journal.Entries()
	if err != nil || len(all) != 2 {
		t.Fatalf("journal: %v, %v", all, err)
	}
	check(t, "journal", []string{line(&all[0]), line(&all[1])}, nameOfTask(first)+" 7 10.0.0.4 0-6", nameOfTask(second)+" 7 10.0.0.4 6-")
}

func TestWholeLateConsistency(t *testing.T) {
	w := newWhole(t, nil)
	w.SetDelay(awsfake.Delay{Describes: 2})
	heard, silent := w.runTask(7), w.runTask(8)
	w.clock = w.clock.Add(time.Second)
	w.frame(7, heard)
	for range 6 {
		w.after(30 * time.Second)
	}
	check(t, "in the end", w.table(), nameOfTask(heard)+" 7 10.0.0.4 1-", nameOfTask(silent)+" 8 10.0.0.5 61-")
	if s := w.frame(7, heard); s.Name != nameOfTask(heard) {
		t.Errorf("its frames are of %s", s.Name)
	}
}

func TestWholeFailures(t *testing.T) {
	tests := []struct {
		kind awsfake.Kind
		want awsapi.Kind
	}{
		{awsfake.Throttled, awsapi.Throttled},
		{awsfake.Denied, awsapi.Denied},
		{awsfake.Expired, awsapi.Expired},
		{awsfake.Internal, awsapi.Unreachable},
	}
	for _, tt := range tests {
		t.Run(tt.want.String(), func(t *testing.T) {
			w := newWhole(t, nil)
			task := w.runTask(7)
			w.after(time.Second)
			want := nameOfTask(task) + " 7 10.0.0.4 0-"
			check(t, "before", w.table(), want)
			remove := w.Fail(awsfake.Fault{Operation: "DescribeTrafficMirrorSessions", Kind: tt.kind})
			w.stopTask(task)
			w.after(30 * time.Second)
			w.after(30 * time.Second)
			check(t, "a list that fails ends nothing", w.table(), want)
			if s := w.scopes[0].status(w.clock); s.ErrorKind != tt.want.String() || s.LastSuccess != epoch.Add(time.Second) {
				t.Errorf("status %+v", s)
			}
			if n := w.log.lines("does not answer"); n != 1 {
				t.Errorf("%d lines about the failure", n)
			}
			remove()
			w.after(30 * time.Second)
			check(t, "after it", w.table(), nameOfTask(task)+" 7 10.0.0.4 0-1")
			if n := w.log.lines("answers again"); n != 1 {
				t.Errorf("%d lines about the recovery", n)
			}
		})
	}
}

// A page that is missing is no list.
func TestWholePageMissing(t *testing.T) {
	w := newWhole(t, nil)
	w.Change(func(s *awsfake.State) { s.Quotas.SourcesPerTarget = 2000 })
	for n := range 1001 {
		w.runTask(uint32(n + 1))
	}
	w.after(time.Second)
	if n := len(w.table()); n != 1001 {
		t.Fatalf("%d sessions", n)
	}
	w.Fail(awsfake.Fault{Operation: "DescribeTrafficMirrorSessions", Kind: awsfake.Broken})
	for range 3 {
		w.after(30 * time.Second)
	}
	if n := len(w.table()); n != 1001 {
		t.Errorf("%d sessions after lists without their second page", n)
	}
}

func TestWholeTasksRefused(t *testing.T) {
	w := newWhole(t, nil)
	task := w.runTask(7)
	remove := w.Fail(awsfake.Fault{Operation: "ListClusters", Kind: awsfake.Denied})
	w.after(time.Second)
	session := w.tenures[0].Workload.SessionID
	check(t, "without tasks", w.table(), session+" 7 10.0.0.4 0-")
	if s := w.scopes[0].status(w.clock); s.ErrorKind != "denied" || s.LastSuccess != w.clock {
		t.Errorf("status %+v", s)
	}
	before := w.find(7, "10.0.0.4", "x")
	remove()
	w.after(30 * time.Second)
	check(t, "with tasks", w.table(), nameOfTask(task)+" 7 10.0.0.4 0-")
	if after := w.find(7, "10.0.0.4", "x"); before.Identified() != after {
		t.Error("the session did not become the one of the task")
	}
}

func TestWholeRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := openJournal(t, path)
	w := newWhole(t, j)
	task := w.runTask(7)
	w.after(time.Second)
	want := nameOfTask(task) + " 7 10.0.0.4 0-"
	check(t, "before", w.table(), want)
	entry := w.tenures[0].Entry
	j.Close()

	w.Down()
	w.open(openJournal(t, path))
	check(t, "after a restart", w.table(), want)
	w.after(time.Second)
	if kind := w.scopes[0].status(w.clock).ErrorKind; kind != "unreachable" {
		t.Errorf("error of kind %q", kind)
	}
	check(t, "without AWS", w.table(), want)
	w.Up()
	w.after(time.Minute)
	check(t, "with AWS", w.table(), want)
	if got := w.tenures[0].Entry; got.Workload.TaskARN != entry.Workload.TaskARN || w.log.lines("sessions of AWS changed") != 0 {
		t.Errorf("changed to\n%+v\nwas\n%+v", got, entry)
	}
}

func TestWholeAccounts(t *testing.T) {
	const other, refused = "444455556666", "777788889999"
	role := func(account string) string { return "arn:aws:iam::" + account + ":role/periscope" }
	w := newWhole(t, nil,
		config.Account{Regions: []string{region}},
		config.Account{RoleARN: role(other), ExternalID: "x", Regions: []string{"eu-central-1"}},
		config.Account{RoleARN: role(refused), Regions: []string{region}})
	w.Change(func(s *awsfake.State) {
		s.Region(other, "eu-central-1")
		s.Accounts[other].Roles = map[string]awsfake.Role{role(other): {ExternalID: "x"}}
		s.Region(refused, region)
	})
	instance, face, err := w.RunInstance(other, "eu-central-1", "db", netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Mirror(other, "eu-central-1", face.ID, 8); err != nil {
		t.Fatal(err)
	}
	task := w.runTask(7)
	w.after(time.Second)
	check(t, "both", w.table(), nameOfTask(task)+" 7 10.0.0.4 0-", "db 8 10.0.0.4 0-")
	if e := w.tenures[1].Entry; e.Workload.AccountID != other || e.Workload.Region != "eu-central-1" || e.Workload.InstanceID != instance.ID {
		t.Errorf("entry %+v", e)
	}
	for _, s := range w.scopes {
		account, _ := s.where()
		if status := s.status(w.clock); (status.Error != "") != (account == refused) {
			t.Errorf("account %s: %s", account, status.Error)
		}
	}
}

// Sessions to targets of others do not count once it is known who this is.
func TestWholeTargets(t *testing.T) {
	w := newWhole(t, nil)
	collector, own, err := w.RunInstance(home, region, "collector", netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	_, others, _ := w.RunInstance(home, region, "other", netip.Addr{})
	w.Change(func(s *awsfake.State) {
		s.Self = awsfake.Self{Account: home, Region: region, Instance: collector.ID}
		s.Region(home, region).Targets = map[string]*awsfake.MirrorTarget{
			"tmt-0own":   {ID: "tmt-0own", Type: "network-interface", InterfaceID: own.ID, OwnerID: home},
			"tmt-1other": {ID: "tmt-1other", Type: "network-interface", InterfaceID: others.ID, OwnerID: home},
			"tmt-2nlb":   {ID: "tmt-2nlb", Type: "network-load-balancer", LoadBalancerARN: "arn:aws:x", OwnerID: home},
		}
	})
	for vni := range uint32(4) {
		w.runTask(vni + 1)
	}
	w.Change(func(s *awsfake.State) {
		for _, m := range s.Region(home, region).Sessions {
			m.TargetID = []string{"", "tmt-0own", "tmt-1other", "tmt-2nlb", "tmt-3unknown"}[m.VNI]
		}
	})
	for range 3 {
		w.after(30 * time.Second)
	}
	var vnis []uint32
	for i := range w.tenures {
		vnis = append(vnis, w.tenures[i].VNI)
	}
	if !slices.Equal(vnis, []uint32{1, 3}) {
		t.Errorf("sessions of VNIs %v count, want 1 and 3", vnis)
	}
	if n := w.Calls()["DescribeTrafficMirrorTargets"]; n != 3 { // the unknown one is asked for again
		t.Errorf("targets were listed %d times", n)
	}
}

func TestWholeWithoutCredentials(t *testing.T) {
	w := newWhole(t, nil)
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		t.Setenv(name, "")
	}
	w.open(nil)
	for range 3 {
		w.after(5 * time.Minute)
	}
	if n := w.log.lines("AWS cannot be asked"); n != 1 {
		t.Errorf("%d lines say that there are no credentials:\n%s", n, w.log.buf.String())
	}
	if kind := w.scopes[0].status(w.clock).ErrorKind; kind != "no_credentials" {
		t.Errorf("error of kind %q", kind)
	}
}
