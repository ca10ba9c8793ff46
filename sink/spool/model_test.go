package spool

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/packet"
)

// A model is what a spool should have: which events are pending, which of them
// are out, and what became of the others.
type model struct {
	t    *testing.T
	rand *rand.Rand
	now  time.Time
	cfg  Config
	s    *Spool

	made    int             // names events
	pending map[string]bool // of events; true if out
	out     []*held
	again   map[string]bool // settled since the last checkpoint: a loss of power may bring them back
}

type held struct {
	b      *Batch
	events []string
}

// TestModel does at random what may be done to a spool, and after each step
// compares it with the model.
func TestModel(t *testing.T) {
	for seed := range uint64(models) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := &model{t: t, rand: rand.New(rand.NewPCG(seed, 0)), now: time.Unix(1000, 0), pending: map[string]bool{}, again: map[string]bool{}}
			m.cfg = Config{Dir: t.TempDir(), SegmentBytes: segmentMin, Now: func() time.Time { return m.now }}
			if seed%2 == 1 {
				m.cfg.Age = time.Minute
			}
			m.s = open(t, m.cfg)
			steps := []func(){
				m.append, m.append, m.append, m.read, m.read, m.commit, m.giveBack, m.park,
				m.sync, m.wait, m.expire, m.reopen, m.kill, m.power, m.fail,
			}
			for range 250 {
				steps[m.rand.IntN(len(steps))]()
				m.check()
				if t.Failed() {
					return
				}
			}
		})
	}
}

func (m *model) append() {
	for range m.rand.IntN(20) {
		m.made++
		e := fmt.Sprint(m.made, " ", strings.Repeat("x", m.rand.IntN(500)))
		next := m.s.Next()
		if err := m.s.Append([]byte(e)); err != nil {
			if Reason(err) != packet.DropDiskFull || m.s.fault == nil {
				m.t.Errorf("%v", err)
			}
			continue
		}
		if after := m.s.Next(); after.Segment == next.Segment && after.Offset != next.Offset+recordSize+uint32(len(e)) {
			m.t.Errorf("event at %v, the next at %v", next, after)
		}
		m.pending[e] = false
	}
}

func (m *model) read() {
	before := m.s.Stats().Dropped[packet.DropExpired]
	maxEvents, maxBytes := 1+m.rand.IntN(20), m.rand.IntN(4<<10)
	b, err := m.s.Read(maxEvents, maxBytes)
	if err != nil {
		m.t.Errorf("%v", err)
	}
	m.expired(before, b)
	if b == nil {
		return
	}
	h := &held{b: b}
	bytes := 0
	for _, e := range b.Events {
		e := string(e)
		if out, ok := m.pending[e]; out || !ok {
			m.t.Errorf("read %.10q, which is out (%v) or not pending (%v)", e, out, !ok)
		}
		m.pending[e] = true
		h.events = append(h.events, e)
		bytes += recordSize + len(e)
	}
	if m.cfg.Age > 0 && b.Oldest.Before(m.now.Add(-m.cfg.Age)) {
		m.t.Errorf("read an event of %v at %v", b.Oldest, m.now)
	}
	if len(b.Events) > maxEvents || len(b.Events) > 1 && bytes > maxBytes {
		m.t.Errorf("%d events of %d bytes, asked for %d of %d", len(b.Events), bytes, maxEvents, maxBytes)
	}
	m.out = append(m.out, h)
}

// expired takes from the model what Read dropped before the batch it returned,
// which is what is oldest of what is not out.
func (m *model) expired(before uint64, b *Batch) {
	n := int(m.s.Stats().Dropped[packet.DropExpired] - before)
	if n == 0 {
		return
	}
	if m.cfg.Age == 0 {
		m.t.Errorf("%d events expired without an age", n)
	}
	var in []string
	for e, out := range m.pending {
		if !out {
			in = append(in, e)
		}
	}
	slices.SortFunc(in, func(a, b string) int { return number(a) - number(b) })
	for _, e := range in[:min(n, len(in))] {
		delete(m.pending, e)
		m.again[e] = true
	}
}

// one takes one of what is out from it.
func (m *model) one() *held {
	if len(m.out) == 0 {
		return nil
	}
	i := m.rand.IntN(len(m.out))
	h := m.out[i]
	m.out = slices.Delete(m.out, i, i+1)
	return h
}

func (m *model) commit() {
	if h := m.one(); h != nil {
		m.s.Commit(h.b)
		for _, e := range h.events {
			delete(m.pending, e)
			m.again[e] = true
		}
	}
}

func (m *model) giveBack() {
	if h := m.one(); h != nil {
		m.s.Return(h.b)
		for _, e := range h.events {
			m.pending[e] = false
		}
	}
}

func (m *model) park() {
	if len(m.out) > 0 {
		m.s.Park(m.out[m.rand.IntN(len(m.out))].b)
	}
}

func (m *model) sync() {
	if err := m.s.Sync(); err != nil {
		m.t.Errorf("%v", err)
	}
	clear(m.again)
	if c, err := Look(m.cfg.Dir); err != nil || c.Pending != len(m.pending) || c.Bytes != m.s.Stats().Bytes {
		m.t.Errorf("%+v, %v, want %d pending, %+v", c, err, len(m.pending), m.s.Stats())
	}
}

func (m *model) wait() { m.now = m.now.Add(time.Duration(m.rand.IntN(20)) * time.Second) }

func (m *model) expire() {
	before := m.s.Stats().Dropped[packet.DropExpired]
	m.s.expire()
	m.expired(before, nil)
}

// fail is a while in which nothing can be written.
func (m *model) fail() {
	seg := m.s.active()
	if seg == nil {
		return
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		m.t.Fatal(err)
	}
	defer full.Close()
	file := seg.file
	seg.file = full
	m.append()
	if len(m.s.buf) > 0 && m.s.Sync() == nil {
		m.t.Error("no error from a full disk")
	}
	m.append()
	m.check()
	seg.file = file
	m.sync()
}

func (m *model) reopen() {
	if err := m.s.Close(); err != nil {
		m.t.Errorf("%v", err)
	}
	clear(m.again)
	m.open()
}

// kill goes on with a copy of the directory as a killed process leaves it.
func (m *model) kill() {
	clear(m.again)
	m.crash(m.copy())
}

// power is a loss of power, after which nothing is there that was not synced but
// the events.
func (m *model) power() {
	path := m.copy()
	for i := range 2 {
		os.Remove(filepath.Join(path, journalName(i)))
	}
	m.crash(path)
}

// copy returns a copy of the directory, with all that is appended.
func (m *model) copy() (path string) {
	m.s.mu.Lock()
	err := m.s.flush()
	m.s.mu.Unlock()
	path = m.t.TempDir()
	if err := cmp.Or(err, os.CopyFS(path, os.DirFS(m.cfg.Dir))); err != nil {
		m.t.Fatal(err)
	}
	return path
}

// crash goes on with another directory, and the beginning of a record at its end.
func (m *model) crash(path string) {
	if numbers, _ := listSegments(path); len(numbers) > 0 {
		last := filepath.Join(path, segmentName(numbers[len(numbers)-1]))
		f, err := os.OpenFile(last, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			m.t.Fatal(err)
		}
		f.Write(appendRecord(nil, []byte("torn"), 1)[:m.rand.IntN(recordSize+4)])
		f.Close()
	}
	m.s.Close()
	m.cfg.Dir = path
	m.open()
}

func number(event string) (n int) {
	fmt.Sscan(event, &n)
	return n
}
