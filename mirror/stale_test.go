package mirror_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/mirror"
	"github.com/periscope-collector/periscope/mirror/changes"
)

// A town is a world in which nothing goes wrong, with one task that is mirrored by one
// of two processes.
type town struct {
	*world
	t    *testing.T
	log  []changes.Change
	p, q *process
}

func newTown(t *testing.T) *town {
	w := &town{world: newWorld(rand.New(rand.NewPCG(1, 1))), t: t}
	w.changed = func(string) {}
	n := &nic{Source: source(1), wanted: true, alive: true, known: w.now}
	w.interfaces[n.InterfaceID] = n
	w.p, w.q = w.process(), w.process()
	w.p.reconcile(nil)
	return w
}

// process begins one that knows nothing.
func (w *town) process() *process {
	p := &process{w: w.world, changes: &w.log, round: make(map[string]bool), calls: make(map[string]attempts)}
	p.open(parse(w.t, wanted[0]))
	return p
}

// byHand deletes what there is, without a word.
func (w *town) byHand() {
	for _, s := range w.living() {
		w.set(s, false)
	}
}

// want checks how many sessions there are, and what was written of how many.
func (w *town) want(sessions int, kinds ...string) {
	w.t.Helper()
	var said []string
	ids := make(map[string]bool)
	for _, c := range w.log {
		if said = append(said, c.Kind); c.Kind == changes.Created && ids[c.SessionID] {
			w.t.Errorf("%s is said to be made twice", c.SessionID)
		}
		ids[c.SessionID] = true
	}
	if n := len(w.living()); n != sessions || !slices.Equal(said, kinds) {
		w.t.Errorf("%d sessions, want %d; changes %q, want %q", n, sessions, said, kinds)
	}
	for _, v := range w.violations {
		w.t.Error(v)
	}
}

// Whoever begins anew with the changes knows which sessions are gone, and makes
// others at once, again and again within the ten minutes of a token.
func TestDeadOfChanges(t *testing.T) {
	w := newTown(t)
	kinds := []string{changes.Created}
	for range 5 {
		w.now = w.now.Add(10 * time.Second)
		p := w.process()
		p.r.Restore(w.log)
		p.change(parse(t, "sources: []"))
		p.reconcile(nil)
		p = w.process()
		p.r.Restore(w.log)
		p.reconcile(nil)
		kinds = append(kinds, changes.Deleted, changes.Created)
		w.want(1, kinds...)
	}
	if w.happened["made by its token again"] != 0 {
		t.Error("a token was used twice")
	}
	// By hand, a minute after it was made.
	w.now = w.now.Add(time.Minute)
	w.byHand()
	p := w.process()
	p.r.Restore(w.log)
	p.reconcile(nil)
	w.want(1, append(kinds, changes.Created)...)
}

// One that was deleted by hand at once is believed to be there for a minute, but not
// said to be made twice; and then it is made.
func TestDeadTooEarly(t *testing.T) {
	w := newTown(t)
	w.byHand()
	w.now = w.now.Add(time.Second)
	p := w.process()
	p.r.Restore(w.log)
	p.reconcile(nil)
	w.want(0, changes.Created)
	w.now = w.now.Add(time.Minute)
	p.reconcile(nil)
	w.want(1, changes.Created, changes.Created)
}

// Who knows nothing is given the session of before, and looks whether it is there.
// When it is not, another is made.
func TestDoubt(t *testing.T) {
	w := newTown(t)
	for range 3 { // of the third it takes three tokens
		w.byHand()
		w.now = w.now.Add(time.Second)
		p := w.process()
		for turn := 0; ; turn++ {
			report, err := p.r.Reconcile(t.Context(), nil)
			if clear(p.round); err != nil || turn == 5 {
				t.Fatalf("turn %d: %v", turn, err)
			}
			var ids []string
			for _, r := range report.Results {
				ids = append(ids, r.Session.ID)
			}
			missing, err := p.r.Missing(t.Context(), ids)
			if err != nil {
				t.Fatal(err)
			}
			if len(missing) == 0 {
				break
			}
			p.r.Doubt(missing)
		}
		if len(w.living()) != 1 {
			t.Fatalf("%d sessions", len(w.living()))
		}
	}
}

// A list that had a session a minute ago, and has it no more, is believed: the other
// process does not take its token's answer for a session.
func TestDeadOfLists(t *testing.T) {
	w := newTown(t)
	w.q.reconcile(nil)
	w.now = w.now.Add(time.Minute)
	w.byHand()
	w.q.reconcile(nil)
	w.want(1, changes.Created, changes.Created)
	if w.happened["made by its token again"] != 0 {
		t.Error("a token was used twice")
	}
}

// An answer with a session that is known to be gone is none, also if it is not the
// one that is in the token: it is made by the next token at once.
func TestStaleAnswer(t *testing.T) {
	d := newDesk(t, toOne, sources(1, 1))
	d.r.Restore([]changes.Change{{Kind: changes.Deleted, InterfaceID: eni(1), SessionID: tms(1001), At: start.Add(-2 * time.Second)},
		{Kind: changes.Deleted, InterfaceID: eni(1), SessionID: tms(999), At: start.Add(-time.Second)}})
	report := d.round(t, 0, "create 1")
	if r := report.Results[0]; r.Outcome != mirror.Gone || r.Err == nil || !report.More || d.said != nil {
		t.Errorf("%+v, changes %s", report, d.kinds())
	}
	report = d.round(t, 0, "create 1")
	if r := report.Results[0]; r.Outcome != mirror.Done || report.More || d.kinds() != "created 1" || d.tokens[0] == d.tokens[1] {
		t.Errorf("%+v, changes %s", report, d.kinds())
	}
}

// A cloud that gives the same dead session whatever the token is not asked in a hurry.
func TestStaleForever(t *testing.T) {
	d := newDesk(t, toOne, sources(1, 1))
	d.r.Restore([]changes.Change{{Kind: changes.Deleted, InterfaceID: eni(1), SessionID: tms(1001), At: start}})
	for i, outcome := range []mirror.Outcome{mirror.Gone, mirror.Failed} {
		d.tokens = nil // which its ids are counted by
		if report := d.round(t, 0, "create 1"); report.Results[0].Outcome != outcome || report.More != (i == 0) {
			t.Errorf("%d: %+v", i, report.Results)
		}
	}
	d.round(t, 0, "")
}
