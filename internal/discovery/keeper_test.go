package discovery

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/periscope-collector/periscope/session"
	"github.com/periscope-collector/periscope/session/journal"
)

// A disk is what a journal's writes wait for. What it says is nil for well; a disk
// that is slow says nothing until it does.
type disk struct {
	*testing.T
	path  string
	says  atomic.Pointer[func() error]
	syncs atomic.Int64
}

func (d *disk) say(f func() error) { d.says.Store(&f) }

func newDisk(t *testing.T, path string) (*disk, *journal.Journal) {
	t.Helper()
	d := &disk{T: t, path: path}
	d.say(func() error { return nil })
	j, err := journal.Open(path, journal.Config{Sync: func(f *os.File) error {
		d.syncs.Add(1)
		if err := (*d.says.Load())(); err != nil {
			return err
		}
		return f.Sync()
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return d, j
}

// holds checks what is on the disk.
func (d *disk) holds(what string, want ...string) {
	d.Helper()
	entries, _, err := journal.Load(d.path)
	if err != nil {
		d.Fatal(err)
	}
	got := make([]string, 0, len(entries))
	for i := range entries {
		got = append(got, line(&entries[i]))
	}
	check(d.T, what, got, want...)
}

// What the journal did not take is given to it again, after pauses, however much
// changes meanwhile.
func TestJournalFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	synctest.Test(t, func(t *testing.T) {
		d := newDesk("111122223333")
		on, j := newDisk(t, path)
		d.run("a", "10.0.0.1", 7, now())
		r := newRig(t, j, d)
		on.say(func() error { return errors.New("no space") })
		before := on.syncs.Load()
		r.start(t)
		for n := range 60 {
			d.run("b", "10.0.0.2", uint32(n+8), now())
			time.Sleep(time.Minute)
		}
		if got := r.name(7, "10.0.0.1", "a"); got != "web-aaaaaaaa" {
			t.Errorf("without a journal: %s", got)
		}
		if n := on.syncs.Load() - before; n < 54 || n > 66 { // after 30 s, and then every minute
			t.Errorf("%d attempts in an hour", n)
		}
		if n := r.log.lines("cannot be written"); n != 1 {
			t.Errorf("%d lines about the failure", n)
		}
		if err := r.JournalError(); err == nil || !strings.Contains(err.Error(), "no space") {
			t.Errorf("error %v", err)
		}
		on.say(func() error { return nil })
		time.Sleep(failLongest)
		if n := r.log.lines("can be written again"); n != 1 || r.JournalError() != nil {
			t.Errorf("%d lines about the recovery, error %v", n, r.JournalError())
		}
		if all, _, err := journal.Load(path); err != nil || len(all) != 61 {
			t.Errorf("%d tenures are in the journal, %v", len(all), err)
		}
	})
}

// A disk that hangs holds up the journal and nothing else, and of what changes
// meanwhile the last is in it once the disk goes on.
func TestJournalHangs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	synctest.Test(t, func(t *testing.T) {
		d := newDesk("111122223333")
		on, j := newDisk(t, path)
		free := make(chan struct{})
		on.say(func() error { <-free; return nil })
		r := newRig(t, j, d)
		begun := now()
		d.run("a", "10.0.0.1", 7, begun)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); r.Run(ctx) }()
		time.Sleep(time.Minute)
		d.run("b", "10.0.0.2", 7, now())
		time.Sleep(time.Minute)
		d.stop("b", time.Now())
		time.Sleep(2 * time.Minute)
		if got := r.name(7, "10.0.0.1", "a"); got != "web-aaaaaaaa" {
			t.Errorf("learnt while the disk hangs: %s", got)
		}
		if status := r.Status()[0]; status.Sessions != 1 || !status.StaleSince.IsZero() {
			t.Errorf("status %+v", status)
		}
		if err := r.JournalError(); err == nil || !strings.Contains(err.Error(), "takes 4m") {
			t.Errorf("error %v", err)
		}
		j.Stats() // does not hang

		cancel()
		synctest.Wait()
		select {
		case <-done:
			t.Error("ended without the journal")
		default:
		}
		close(free)
		<-done
		on.holds("in the end", fmt.Sprintf("web-aaaaaaaa 7 10.0.0.1 %d-", begun), fmt.Sprintf("web-bbbbbbbb 7 10.0.0.2 %d-%d", begun+60, begun+120))
		if err := r.JournalError(); err != nil || r.log.lines("ERROR") != 0 {
			t.Errorf("error %v", err)
		}
	})
}

// stated returns an entry for each of the numbers from first to before end.
func stated(first, end int) (all []session.Entry) {
	for n := first; n < end; n++ {
		all = append(all, session.Entry{Name: "task", VNI: uint32(n), Learned: true})
	}
	return all
}

// What no line can hold is left out and logged, and is no failure.
func TestJournalUnfit(t *testing.T) {
	on, j := newDisk(t, filepath.Join(t.TempDir(), "journal"))
	r := newRig(t, j)
	entries := stated(1, 3)
	entries[0].Workload.Service = strings.Repeat("s", 256<<10)
	r.keeper.give(entries, 2)
	for range 2 {
		if !r.keeper.write() || r.JournalError() != nil {
			t.Errorf("failed: %v", r.JournalError())
		}
	}
	on.holds("the other", line(&entries[1]))
	if n := r.log.lines("left out"); n != 1 {
		t.Errorf("%d lines about it", n)
	}
}

// What waits is bounded. When the disk goes on, what is known is given again.
func TestJournalWaitingIsBounded(t *testing.T) {
	_, j := newDisk(t, filepath.Join(t.TempDir(), "journal"))
	restated := 0
	k := newKeeper(j, newRig(t, nil).log.logger(), func() { restated++ })
	k.give(stated(0, maxUnwritten+10), 10)
	if k.missed != 0 {
		t.Errorf("%d are missed before the bound", k.missed)
	}
	k.give(stated(maxUnwritten, maxUnwritten+13), 10)
	if len(k.waiting) != maxUnwritten+10 || k.missed != 3 {
		t.Errorf("%d wait, %d are missed", len(k.waiting), k.missed)
	}
	j.Close()
	if k.write() || len(k.waiting) != maxUnwritten+10 || restated != 0 {
		t.Errorf("%d wait after a failure, restated %d times", len(k.waiting), restated)
	}
	_, k.journal = newDisk(t, filepath.Join(t.TempDir(), "journal"))
	for range 2 {
		if !k.write() {
			t.Error(k.err)
		}
	}
	if n := k.journal.Stats().Tenures; n != maxUnwritten+10 || restated != 1 || len(k.waiting) != 0 {
		t.Errorf("%d tenures in the journal, restated %d times, %d wait", n, restated, len(k.waiting))
	}
}

// What is stated while a write fails is newer than what that write had.
func TestJournalStatedMeanwhile(t *testing.T) {
	on, j := newDisk(t, filepath.Join(t.TempDir(), "journal"))
	r := newRig(t, j)
	older, newer := stated(1, 2), stated(1, 2)
	newer[0].Until = second(10).UnixNano()
	r.keeper.give(older, 1)
	on.say(func() error {
		r.keeper.give(newer, 1)
		return errors.New("no space")
	})
	r.keeper.write()
	on.say(func() error { return nil })
	r.keeper.write()
	on.holds("the newer", line(&newer[0]))
}
