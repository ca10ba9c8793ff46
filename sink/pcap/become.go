package pcap

import (
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/sink/dir"
)

// identify has what is open of a session that has become another one go on as
// that one's. If there is another stream for it already, the file is completed
// under the new name.
func (w *writer) identify(m *member) {
	from, next := m.stream, m.session.Identified()
	if next == m.session {
		return
	}
	to := w.find(next)
	if to == from && w.members[next] != nil {
		return
	}
	if from.shared {
		if to == nil {
			to = w.begin(next)
		}
		w.join(m.session, to)
		w.join(next, to)
		return
	}
	name, shared := w.group.name(next)
	w.rename(from, name)
	if to == nil {
		to = from
		w.share(to, shared)
	}
	for _, earlier := range slices.Clone(from.members) {
		w.join(earlier.session, to)
	}
	w.join(next, to)
}

// rename has the stream go on under another name, and its file with it. A file
// that cannot be renamed is completed under its own.
func (w *writer) rename(s *stream, name string) {
	before := s.series
	if before.group == name {
		return
	}
	s.series = w.seriesOf(name)
	switch f := s.file; {
	case f == nil:
	case !f.made():
		before.giveBack(f.number)
		w.reserve(f, s.series)
	default:
		if err := w.move(f, s.series); err != nil {
			w.log.Warn("capture file of a session that became known keeps its name", "path", f.path, "name", name, "err", err)
			w.flush(s)
			w.finish(s, ByEnd)
		}
	}
	w.release(before)
}

// move gives the file a name in another series at once, so that it has it
// whatever becomes of the process. Its directory goes with the last file.
func (w *writer) move(f *file, to *series) error {
	if err := f.checkName(); err != nil {
		return err
	}
	from := f.path
	path, number, err := w.claim(to, f, 0, func(path string) error { return dir.Rename(from, path) })
	if err != nil {
		return err
	}
	f.path, f.number, f.looked = path, number, w.now
	f.dirty, f.fresh = true, true // what syncs it by the old name does not find it
	unix.Rmdir(filepath.Dir(from))
	return nil
}
