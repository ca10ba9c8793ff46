package discovery

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/awsfake"
	"github.com/periscope-collector/periscope/internal/config"
)

// shared returns an endpoint of two accounts, and a function that starts anew with
// them and the journal. The first one's session is of a task in a subnet that it
// shares, whose interface belongs to a third account.
func shared(t *testing.T) (w *whole, task awsfake.Task, start func()) {
	const second, third = "444455556666", "999900001111"
	const role = "arn:aws:iam::" + second + ":role/periscope"
	path := filepath.Join(t.TempDir(), "journal")
	accounts := []config.Account{{Regions: []string{region}}, {RoleARN: role, Regions: []string{region}}}
	j := openJournal(t, path)
	w = newWhole(t, j, accounts...)
	w.Change(func(s *awsfake.State) {
		s.Region(second, region)
		s.Accounts[second].Roles = map[string]awsfake.Role{role: {}}
	})
	task = w.runTask(7)
	w.Change(func(s *awsfake.State) { s.Region(home, region).Interfaces[task.Interface()].OwnerID = third })
	return w, task, func() {
		j.Close()
		j = openJournal(t, path)
		w.open(j, accounts...)
	}
}

// Another account's looks do not end what an account that does not answer has
// listed, whoever has the interface.
func TestWholeSharedSubnet(t *testing.T) {
	w, task, start := shared(t)
	w.after(time.Second)
	want := nameOfTask(task) + " 7 10.0.0.4 0-"
	check(t, "before", w.table(), want)
	id := w.tenures[0].Workload.SessionID

	remove := w.Fail(awsfake.Fault{Operation: "DescribeTrafficMirrorSessions", Account: home, Kind: awsfake.Denied})
	start()
	w.started = time.Now()
	for range 5 {
		if w.Stale()[id] != w.started {
			t.Errorf("stale since %v, want %v", w.Stale()[id], w.started)
		}
		w.after(time.Minute)
		check(t, "one of two accounts answers", w.table(), want)
	}
	remove()
	w.stopTask(task)
	w.after(time.Minute)
	w.after(time.Minute)
	if got := w.table(); len(got) != 1 || got[0] == want {
		t.Errorf("after both have answered: %v", got)
	}
}

// Of an account that does not answer tasks that stopped end all the same, if it is
// they who have the interface; and one that lists again has its session.
func TestWholeJournalOfNobody(t *testing.T) {
	w, task, start := shared(t)
	w.Change(func(s *awsfake.State) { s.Region(home, region).Interfaces[task.Interface()].OwnerID = home })
	other := w.runTask(8)
	w.after(time.Second)
	start()
	remove := w.Fail(awsfake.Fault{Operation: "DescribeTrafficMirrorSessions", Account: "444455556666", Kind: awsfake.Denied})
	w.stopTask(task)
	w.after(time.Second)
	check(t, "stopped", w.table(), nameOfTask(task)+" 7 10.0.0.4 0-1", nameOfTask(other)+" 8 10.0.0.5 0-")
	if s := w.Status(); s[0].Sessions != 1 || s[1].Sessions != 0 {
		t.Errorf("status %+v", s)
	}
	remove()
	for range 3 {
		w.after(time.Minute)
	}
	check(t, "the other account answers", w.table(), nameOfTask(other)+" 8 10.0.0.5 0-")
	if n := len(w.Stale()); n != 1 { // looks are of the year of the tests
		t.Errorf("%d sessions are stale", n)
	}
}
