package discovery

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
)

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
		if n := d.Calls()["Sessions"] - before; n < 54 || n > 66 { // after 30 s, and then every minute
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
