package pcap

import (
	"time"

	"github.com/periscope-collector/periscope/packet"
)

// retryEvery is how long a session whose file could not be written waits
// before it tries again.
const retryEvery = time.Second

// endGrace is how long the file of an ended session waits for frames that were
// offered before: two rounds and the window, and some more.
const endGrace = 2 * (window + 2*roundEvery)

// A file is one capture file, from the first frame that was gathered for it to
// its completion. It exists on disk from the first write on.
type file struct {
	size    int64 // bytes, with what the round has gathered
	packets int64 // likewise

	first  int64     // time of the first frame
	opened int64     // the capture's clock at that moment
	since  time.Time // the round of that moment

	number uint64 // in the series; 0 before it is known

	// Valid iff made.
	path    string // with partialSuffix
	written int64  // bytes in it
	stored  int64  // records in it
	begun   int64  // bytes that the disk was asked to write
	dev     uint64
	ino     uint64
	open    bool      // it is in writer.open
	fd      int       // valid iff open
	used    uint64    // for finding the least recently used
	looked  time.Time // when its name was last seen to be its own
	dirty   bool      // written since the last sync
	fresh   bool      // its directory entry has not been synced
	durable durable
}

// made reports whether the file is on disk: it was created, for the first write.
func (f *file) made() bool { return f.path != "" }

// empty reports whether nothing was written to it, not even its header.
func (f *file) empty() bool { return f.written == 0 }

// add takes an entry out of its chunk and gathers it for its file.
func (w *writer) add(c *chunk, e *entry) {
	w.counts[countOut]++
	if e.order < w.emitted {
		w.counts[countLate]++
	}
	w.emitted = max(w.emitted, e.order)
	w.clock = max(w.clock, e.time)

	s := w.stream(e.session)
	if s.file != nil {
		if cause, due := w.due(s.file, e); due {
			w.flush(s)
			w.finish(s, cause)
		}
	}
	if s.failed && w.now.Before(s.retry) {
		w.counts[countDropped+int(s.reason)]++
		return
	}
	if s.file == nil {
		s.file = w.newFile(s, e.time)
	}
	s.file.size += int64(e.length)
	s.file.packets++
	w.gather(s, c, e)
}

// newFile begins a file with a frame of the given time.
func (w *writer) newFile(s *stream, first int64) *file {
	f := &file{size: fileHeader, first: first, opened: w.clock, since: w.now}
	w.reserve(f, s.series)
	return f
}

// reserve gives a file its number before it is made, in replay: which of several
// streams of a name is written first depends on rounds.
func (w *writer) reserve(f *file, sr *series) {
	f.number = 0
	if w.replay && sr.load() == nil {
		f.number = sr.next()
	}
}

// due reports whether the file has to end before e. In replay the clock is the
// capture's, which never goes back: it depends on nothing but the order of the
// frames. A single time in the far future stops rotation by time until the
// others are past it; it does not make a file of every frame.
func (w *writer) due(f *file, e *entry) (Cause, bool) {
	r := w.rotate
	elapsed := e.time - f.first
	if w.replay {
		elapsed = w.clock - f.opened
	}
	switch {
	case r.Packets > 0 && f.packets >= r.Packets:
		return ByPackets, true
	case r.Size > 0 && f.packets > 0 && f.size+int64(e.length) > r.Size:
		return BySize, true
	case r.Every > 0 && elapsed >= int64(r.Every):
		return ByTime, true
	}
	return 0, false
}

// sweep completes the files that are due although no frame comes for them, finds
// out who sessions have become, and lets go of those that ended.
func (w *writer) sweep() {
	for _, m := range w.members {
		w.identify(m)
		s := m.stream
		if s.failed && w.now.Sub(s.retry) >= retryEvery {
			w.recovered(s) // nothing came for a second: there is no failure to speak of
		}
		if f := s.file; f != nil && w.rotate.Every > 0 {
			elapsed := w.now.Sub(f.since) // monotonic: the clock may be set
			if w.replay {
				elapsed = time.Duration(w.clock - f.opened)
			}
			if elapsed >= w.rotate.Every {
				w.finish(s, ByTime)
			}
		}
		switch {
		case w.replay || !m.session.Ended.Load():
		case m.ended.IsZero():
			m.ended = w.now
		case w.now.Sub(m.ended) >= endGrace:
			w.forget(m)
		}
	}
}

// finishAll ends every file.
func (w *writer) finishAll() {
	for _, m := range w.members {
		w.identify(m)
		w.finish(m.stream, ByEnd)
	}
}

// finish ends the stream's file, which has no segments left, and has it
// completed.
func (w *writer) finish(s *stream, cause Cause) {
	f := s.file
	s.file = nil
	if f == nil || !f.made() {
		return
	}
	w.closeFile(f)
	g := &w.sink.gauges
	g.rotations[cause].Add(1)
	g.completing.Add(1)
	w.queue <- job{f.path, f.dev, f.ino, f.written, &f.durable}
}

// failure notes that writing for the stream failed, and logs it when no other
// stream fails in the same way.
func (w *writer) failure(s *stream, reason packet.Drop, err error) {
	w.sink.gauges.writeErrors[reason].Add(1)
	if s.failed && s.reason != reason {
		w.recovered(s)
	}
	if !s.failed {
		s.failed, s.reason = true, reason
		w.sink.gauges.failing.Add(1)
		if w.failing[reason]++; w.failing[reason] == 1 {
			w.log.Error("captures cannot be written; frames are dropped and writing is tried again every second",
				"reason", reason.String(), "name", s.series.group, "err", err)
		}
	}
	s.retry = w.now.Add(retryEvery)
}

// recovered notes that writing for the stream does not fail any more.
func (w *writer) recovered(s *stream) {
	if !s.failed {
		return
	}
	s.failed = false
	w.sink.gauges.failing.Add(-1)
	if w.failing[s.reason]--; w.failing[s.reason] == 0 {
		w.log.Info("captures are written again", "reason", s.reason.String())
	}
}
