package discovery

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/periscope-collector/periscope/mirror/changes"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
	"github.com/periscope-collector/periscope/session/journal"
)

// A shelf is objects that fail on demand.
type shelf struct {
	changes.Objects
	mu   sync.Mutex
	fail error
}

func (s *shelf) List(ctx context.Context, after string, limit int) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return nil, s.fail
	}
	return s.Objects.List(ctx, after, limit)
}

func (s *shelf) failing(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

// A teller is a rig that reads changes, and who writes them.
type teller struct {
	*rig
	*changes.Log
	shelf *shelf
	t     *testing.T
}

// newTeller returns one that begins anew with the changes of a directory.
func newTeller(t *testing.T, dir string, j *journal.Journal, desks ...*desk) *teller {
	t.Helper()
	r := newRig(t, j, desks...)
	s := &shelf{Objects: changes.Dir(dir)}
	r.follower = newFollower(r.Discovery, dir, j)
	r.follower.objects, r.follower.reader = s, changes.NewReader(s, r.started.Add(-readBack))
	return &teller{r, changes.NewLog(s), s, t}
}

// tell writes changes of now.
func (w *teller) tell(all ...changes.Change) {
	w.t.Helper()
	for _, c := range all {
		if err := w.Put(w.t.Context(), c); err != nil {
			w.t.Fatal(err)
		}
	}
}

// next waits until changes were read again.
func (w *teller) next() {
	time.Sleep(dirEvery)
	synctest.Wait()
}

// away returns a desk that never answers.
func away() *desk {
	d := newDesk("111122223333")
	d.fail["Sessions"] = errors.New("no answer")
	return d
}

// A session is known two seconds after it was made, and one that began and ended
// between two readings has its frames, with AWS away or not.
func TestChangesName(t *testing.T) {
	for name, d := range map[string]*desk{"AWS away": away(), "AWS answers": newDesk("111122223333")} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				w := newTeller(t, dir, nil, d)
				w.start(t)
				w.tell(saying("created", "1", "a", "10.0.0.1", 7, now()))
				early := w.find(7, "10.0.0.1", "a")
				if early.Known {
					t.Errorf("known already: %s", early.Name)
				}
				w.next()
				if got := w.name(7, "10.0.0.1", "a"); got != "web-aaaaaaaa" {
					t.Errorf("after two seconds: %s", got)
				}
				if who := early.Identified(); who.Name != "web-aaaaaaaa" {
					t.Errorf("the frames before: %s", who.Name)
				}
				w.tell(saying("created", "2", "b", "10.0.0.2", 7, now()))
				b := w.find(7, "10.0.0.2", "b")
				time.Sleep(300 * time.Millisecond)
				deleted := saying("deleted", "2", "b", "10.0.0.2", 7, now())
				deleted.At = time.Now()
				w.tell(deleted)
				w.next()
				if who := b.Identified(); who.Name != "web-bbbbbbbb" || who.Until.Load() != deleted.At.UnixNano()+lingers {
					t.Errorf("of 300 ms: %s until %d", who.Name, who.Until.Load())
				}
				w.tell(saying("deleted", "1", "a", "10.0.0.1", 7, now()))
				w.next()
				if got := w.name(7, "10.0.0.1", "a"); got != "web-aaaaaaaa" {
					t.Errorf("two seconds after it was deleted: %s", got)
				}
				time.Sleep(time.Duration(lingers))
				if got := w.name(7, "10.0.0.1", "a"); got == "web-aaaaaaaa" {
					t.Error("a session that was deleted has frames")
				}
				if s := w.Changes(); s.Read != 4 || s.Error != "" || !s.StaleSince.IsZero() {
					t.Errorf("%+v", s)
				}
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				if n := len(w.tenures); n != 0 {
					t.Errorf("%d tenures are kept", n)
				}
			})
		})
	}
}

// A look that lists what changes told of makes no second session of it, and the end
// that they tell is the end.
func TestChangesAndLooks(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk("111122223333")
		w := newTeller(t, dir, nil, d)
		w.start(t)
		d.run("a", "10.0.0.1", 7, now()-2)
		w.tell(saying("created", "a", "a", "10.0.0.1", 7, now()))
		w.next()
		told := w.find(7, "10.0.0.1", "a")
		time.Sleep(time.Minute)
		synctest.Wait()
		if listed := w.find(7, "10.0.0.1", "a"); listed != told.Identified() || told.Name != "web-aaaaaaaa" {
			t.Errorf("told %s, listed %s", told.Name, listed.Name)
		}
		if n := len(w.tenures); n != 1 || w.tenures[0].scope == nil {
			t.Errorf("tenures %+v", w.tenures)
		}
		if s := w.Status()[0]; s.Sessions != 1 {
			t.Errorf("%+v", s)
		}
		d.stop("a", time.Now())
		w.tell(saying("deleted", "a", "a", "10.0.0.1", 7, now()))
		end := now()
		time.Sleep(40 * time.Second)
		synctest.Wait()
		if got := seconds(told.Identified().Until.Load()); got != fmt.Sprint(end+5) && got != fmt.Sprint(end) { // a look may be first, and know when the task stopped
			t.Errorf("ended at %s, not %d", got, end)
		}
		w.tell(saying("created", "a", "a", "10.0.0.1", 7, 1)) // as late as can be
		time.Sleep(time.Minute)
		synctest.Wait()
		w.tell(saying("created", "a", "a", "10.0.0.1", 7, end-1))
		w.next()
		if n := len(w.tenures); n != 0 {
			t.Errorf("%d tenures of a session that ended", n)
		}
	})
}

// Changes of an account that nobody asks are all there is of it: no look ends what
// they tell, also after a restart.
func TestChangesOfAnAccountNotAsked(t *testing.T) {
	dir, path := t.TempDir(), filepath.Join(t.TempDir(), "journal")
	synctest.Test(t, func(t *testing.T) {
		j := openJournal(t, path)
		w := newTeller(t, dir, j, newDesk("999900001111"))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); w.Run(ctx) }()
		synctest.Wait()
		w.tell(saying("created", "1", "a", "10.0.0.1", 7, now()))
		for range 100 {
			time.Sleep(time.Minute)
			if got := w.name(7, "10.0.0.1", "a"); got != "web-aaaaaaaa" {
				t.Fatalf("after %ds: %s", now(), got)
			}
		}
		if n := len(w.Stale()); n != 0 {
			t.Errorf("%d sessions are stale", n)
		}
		w.shelf.failing(errors.New("no disk"))
		time.Sleep(2 * time.Minute)
		if n := len(w.Stale()); n != 1 {
			t.Errorf("%d sessions are stale", n)
		}
		cancel()
		<-done
		j.Close()

		j = openJournal(t, path)
		w = newTeller(t, dir, j, newDesk("999900001111"))
		w.start(t)
		time.Sleep(5 * time.Minute)
		if got := w.name(7, "10.0.0.1", "a"); got != "web-aaaaaaaa" {
			t.Errorf("after a restart: %s", got)
		}
		w.tell(saying("deleted", "1", "a", "10.0.0.1", 7, now()))
		w.next()
		time.Sleep(time.Duration(lingers))
		if got := w.name(7, "10.0.0.1", "a"); got == "web-aaaaaaaa" {
			t.Error("not ended")
		}
	})
}

// A restart reads the last hour, and says nothing again that the journal knows
// better.
func TestChangesAfterRestart(t *testing.T) {
	dir, path := t.TempDir(), filepath.Join(t.TempDir(), "journal")
	synctest.Test(t, func(t *testing.T) {
		d := newDesk("111122223333")
		j := openJournal(t, path)
		w := newTeller(t, dir, j, d)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); w.Run(ctx) }()
		synctest.Wait()
		d.run("a", "10.0.0.1", 7, now())
		w.tell(saying("created", "a", "a", "10.0.0.1", 7, now()))
		time.Sleep(time.Minute)
		d.stop("a", time.Now())
		w.tell(saying("deleted", "a", "a", "10.0.0.1", 7, now()))
		time.Sleep(5 * time.Minute)
		cancel()
		<-done
		before, err := j.Entries()
		if err != nil || len(before) != 1 || before[0].Workload.VPCCIDRs == nil {
			t.Fatalf("%+v, %v", before, err)
		}
		j.Close()
		refused := saying("refused", "c", "c", "10.0.0.3", 7, now())
		refused.SessionID = ""
		w.tell(saying("created", "b", "b", "10.0.0.2", 7, now()), refused)
		time.Sleep(30 * time.Minute)

		j = openJournal(t, path)
		w = newTeller(t, dir, j, away())
		w.start(t)
		w.next()
		if got := w.name(7, "10.0.0.2", "b"); got != "web-bbbbbbbb" {
			t.Errorf("made while nobody ran: %s", got)
		}
		after, err := j.Entries()
		if err != nil || len(after) != 2 || line(&after[0]) != line(&before[0]) || after[0].Workload.VPCCIDRs == nil {
			t.Errorf("%+v, %v", after, err)
		}
		if r := w.Refused(); len(r) != 1 || r[0].InterfaceID != "eni-c" || r[0].Tries != 1 {
			t.Errorf("refused %+v", r)
		}
	})
}

// What is late, reordered or damaged, and objects that cannot be read for a while.
func TestChangesTrouble(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newTeller(t, dir, nil, away())
		w.start(t)
		if n := w.log.lines("there are no changes"); n != 1 {
			t.Errorf("%d lines that there are none", n)
		}
		time.Sleep(100 * time.Second)
		w.tell(saying("deleted", "1", "a", "10.0.0.1", 7, now()))
		w.next()
		time.Sleep(8 * time.Second)
		w.tell(saying("created", "1", "a", "10.0.0.1", 7, now()-60)) // a minute late
		a := w.find(7, "10.0.0.1", "a")
		w.next()
		if who := a.Identified(); who.Known {
			t.Errorf("a frame of after the end: %s", who.Name)
		}
		if len(w.tenures) != 1 || w.tenures[0].Until-w.tenures[0].From != int64(55*time.Second) {
			t.Errorf("%+v", w.tenures)
		}
		for i, text := range []string{"", "{}", `{"at":"2026-01-02T03:00:00Z"}`, "\x00\xff"} {
			at := time.Now().UTC()
			key := fmt.Sprintf("111122223333/eu-central-1/%s%s_eni-%d_created_00000000.json", at.Format("2006/01/02/15/"), at.Format("20060102T150405.000000000Z"), i)
			if err := w.shelf.Put(t.Context(), key, []byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		w.shelf.failing(fs.ErrPermission)
		for range 60 {
			w.next()
		}
		if s := w.Changes(); s.Error == "" || s.StaleSince.IsZero() {
			t.Errorf("%+v", s)
		}
		w.shelf.failing(nil)
		time.Sleep(failLongest)
		synctest.Wait()
		s := w.Changes()
		if s.Error != "" || !s.StaleSince.IsZero() || s.Left["damaged"] != 4 || s.Read != 2 {
			t.Errorf("%+v", s)
		}
		if want := []string{"damaged", "limit", "no_address", "no_vni", "odd"}; !slices.Equal(slices.Sorted(maps.Keys(s.Left)), want) {
			t.Errorf("left %v", s.Left)
		}
		for text, want := range map[string]int{"cannot be read": 1, "can be read again": 1, "are damaged": 1} {
			if n := w.log.lines(text); n != want {
				t.Errorf("%q: %d lines", text, n)
			}
		}
	})
}

// A stranger that changes explain is none any more.
func TestChangesExplainStrangers(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newTeller(t, dir, nil, away())
		w.start(t)
		w.name(7, "10.0.0.1", "a")
		synctest.Wait()
		if n := len(w.strangers.asked); n != 1 {
			t.Fatalf("%d strangers", n)
		}
		w.tell(saying("created", "1", "a", "10.0.0.1", 7, now()))
		w.next()
		if n := len(w.strangers.asked); n != 0 {
			t.Errorf("%d strangers", n)
		}
	})
}

// Changes of sessions to other targets than those configured are of no concern.
func TestChangesOfOtherTargets(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newTeller(t, dir, nil, away())
		w.targets["tmt-1"] = true
		w.start(t)
		other := saying("created", "2", "b", "10.0.0.2", 7, now())
		other.TargetID = "tmt-9"
		w.tell(saying("created", "1", "a", "10.0.0.1", 7, now()), other)
		w.next()
		check(t, "ours", []string{w.name(7, "10.0.0.1", "a"), w.name(7, "10.0.0.2", "b")}, "web-aaaaaaaa", "vni-7-10.0.0.2")
	})
}

// What the journal has of an account that is asked ends when that does not list it,
// also where changes tell of the account.
func TestChangesOfAnAccountAsked(t *testing.T) {
	dir, path := t.TempDir(), filepath.Join(t.TempDir(), "journal")
	synctest.Test(t, func(t *testing.T) {
		j := openJournal(t, path)
		gone := session.Entry{Name: "gone", VNI: 7, Source: packet.AddrFrom4([4]byte{10, 0, 0, 1}), Learned: true}
		gone.Workload.AccountID, gone.Workload.Region = "111122223333", "eu-central-1"
		gone.Workload.InterfaceID, gone.Workload.SessionID = "eni-9", "tms-9"
		if err := j.Append([]session.Entry{gone}); err != nil {
			t.Fatal(err)
		}
		w := newTeller(t, dir, j, newDesk("111122223333"))
		w.tell(saying("created", "2", "b", "10.0.0.2", 7, now()))
		w.start(t)
		time.Sleep(3 * time.Minute)
		if n := len(w.table.Sessions()); n != 0 {
			t.Errorf("%d sessions that nobody lists", n)
		}
	})
}
