package flowlog

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/record"
)

// maxIntervals bounds the intervals that are not over. There are two or three,
// but for a capture whose clock jumps; of more the oldest is forgotten, so that
// it gets no NODATA and SKIPDATA lines.
const maxIntervals = 1024

// lostDelay is how long after a frame was lost the count of lost frames may
// grow: the kernel's counters are read once a second.
const lostDelay = 1500 * time.Millisecond

// An interval is what the writer knows of one until all workers have cut it.
type interval struct {
	begin, end int64
	late       bool // it was cut before
	unsure     bool // records of sessions that are not active may be missing

	// How many frames were lost so far, at a moment shortly before the begin
	// and at one lostDelay after the end; that is math.MaxUint64 until then.
	lostBefore, lostUntil uint64

	// active has the sessions with records, and whether one of those is
	// missing.
	active map[*packet.Session]bool
}

// interval returns the interval that begins at begin.
func (w *writer) interval(begin, end int64) *interval {
	i, found := slices.BinarySearchFunc(w.intervals, begin, func(v *interval, begin int64) int {
		return cmp.Compare(v.begin, begin)
	})
	if found {
		return w.intervals[i]
	}
	v := &interval{
		begin: begin, end: end, late: begin < w.complete,
		lostBefore: w.lostBefore, lostUntil: math.MaxUint64,
		active: make(map[*packet.Session]bool),
	}
	if begin > w.present {
		v.lostBefore = w.lost
	}
	w.intervals = slices.Insert(w.intervals, i, v)
	if len(w.intervals) > maxIntervals {
		w.intervals = slices.Delete(w.intervals, 0, 1)
	}
	return v
}

// A place is a session in an interval.
type place struct {
	session *packet.Session
	begin   int64
}

// note takes note that there is a record of the session in its interval.
func (w *writer) note(r *packet.Flow) {
	p := place{r.Session, r.Begin}
	if p == w.latest || r.Begin < w.complete {
		return
	}
	w.latest = p
	if w.step == 0 {
		w.step = r.End - r.Begin
	}
	active := w.interval(r.Begin, r.End).active
	if _, noted := active[r.Session]; !noted {
		active[r.Session] = false
	}
}

// miss takes note that a record is missing.
func (w *writer) miss(m miss) {
	v := w.interval(m.begin, m.end)
	if m.session == nil {
		v.unsure = true
		return
	}
	v.active[m.session] = true
}

// missSlot takes note that records are missing of the sessions that share a
// file, in the intervals that are not over.
func (w *writer) missSlot(s slot) {
	for _, v := range w.intervals {
		for session := range v.active {
			if session.Workload.AccountID == s.account && session.Workload.Region == s.region {
				v.active[session] = true
			}
		}
	}
}

// collectMissed takes what the workers have noted. The SKIPDATA lines of what
// they could not note are due and lost.
func (w *writer) collectMissed() {
	for i := range w.sink.workers {
		from := &w.sink.workers[i]
		from.mu.Lock()
		taken := from.misses
		from.misses = misses{}
		from.mu.Unlock()
		for m := range taken.noted {
			w.miss(m)
		}
		w.counts.skipData += taken.left
		w.counts.statusLost += taken.left
	}
}

// sample reads, live, how many frames were lost. It begins the interval of the
// present time when that is due, so that the reading before is its first.
func (w *writer) sample() {
	if w.step == 0 {
		return // the first reading stands for all intervals so far
	}
	now, lost := w.now.UnixNano(), w.config.Lost()
	if begin := floor(now, w.step); begin != w.present {
		w.present, w.lostBefore = begin, w.lost
		if begin >= w.complete {
			w.interval(begin, begin+w.step)
		}
	}
	for _, v := range w.intervals {
		if now-v.end >= int64(lostDelay) {
			v.lostUntil = min(v.lostUntil, lost) // the first: it does not fall
		}
	}
	w.lost = lost
}

// cut takes note that a worker has given all records of an interval. When all
// have, the interval is over and everything of it is written.
func (w *writer) cut(worker int, c packet.Cut) {
	w.collectMissed()
	if c.Last {
		if c.Begin < c.End {
			w.interval(c.Begin, c.End)
		}
		w.over(math.MaxInt64)
		return
	}
	w.cuts[worker] = max(w.cuts[worker], c.End)
	w.step = c.End - c.Begin
	least := slices.Min(w.cuts)
	if least <= w.complete {
		return
	}
	w.interval(least-w.step, least) // also if nothing came
	w.over(least)
	w.completeOver(least - w.step)
}

// over ends the intervals that begin before bound.
func (w *writer) over(bound int64) {
	n := 0
	for n < len(w.intervals) && w.intervals[n].begin < bound {
		w.statuses(w.intervals[n])
		n++
	}
	w.intervals = slices.Delete(w.intervals, 0, n)
	w.complete = bound
	w.flushAll()
}

// statuses writes the lines of an interval that stand for no flow: SKIPDATA for
// sessions of which records or frames may be missing, NODATA for those that had
// no traffic. Lost frames may have been any session's, so that after a loss
// nobody knows who had none; nor, live, of an interval that was not seen whole.
func (w *writer) statuses(v *interval) {
	frames := min(v.lostUntil, w.config.Lost()) > v.lostBefore
	whole := w.config.Replay || v.begin >= w.opened && v.end <= w.now.UnixNano()
	words := make(map[*packet.Session]string)
	if whole && !v.late && !v.unsure && !frames {
		for _, s := range w.config.Sessions() {
			if s = s.Identified(); quiet(s, v) {
				words[s] = record.NoData
			}
		}
	}
	for s, missed := range v.active {
		switch s = s.Identified(); {
		case missed || frames:
			words[s] = record.SkipData
		case words[s] == record.NoData:
			delete(words, s)
		}
	}
	sessions := make([]*packet.Session, 0, len(words))
	for s := range words {
		sessions = append(sessions, s)
	}
	slices.SortFunc(sessions, func(a, b *packet.Session) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	for _, s := range sessions {
		w.status(s, v, words[s])
	}
}

// quiet reports whether a session without records has a NODATA line: it is known
// and was there in the interval.
func quiet(s *packet.Session, v *interval) bool {
	from, until := s.From, s.Until.Load()
	return s.Known && !s.Ended.Load() && (from == 0 || from < v.end) && (until == 0 || until > v.begin)
}

// status writes one of those lines. Like any other it is of the window in which
// it ends.
func (w *writer) status(s *packet.Session, v *interval, word string) {
	if word == record.NoData {
		w.counts.noData++
	} else {
		w.counts.skipData++
	}
	f := w.file(slotFor(s, v.end-1))
	if len(f.text) >= chunkText && !w.flush(f) && len(f.text) >= chunkText+statusText {
		w.counts.statusLost++
		return
	}
	w.begin(f)
	f.text = w.lines.appendStatus(f.text, s, v.begin, v.end, word)
	f.lines++
	f.statuses++
}
