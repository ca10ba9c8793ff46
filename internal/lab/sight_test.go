package lab_test

import (
	"path/filepath"
	"testing"

	"github.com/periscope-collector/periscope/internal/lab"
)

// A sight is what tcpdump saw on the mirrored interfaces.
type sight struct {
	t     *testing.T
	l     *lab.Lab
	files [2]string
	stops [2]func()
	sent  [2]int // frames mirrored, once settled
}

// watch starts tcpdump on every mirrored interface.
func watch(t *testing.T, l *lab.Lab) *sight {
	t.Helper()
	s := &sight{t: t, l: l}
	dir := t.TempDir()
	for i, m := range l.Mirrors {
		s.files[i] = filepath.Join(dir, m.Interface+".pcap")
		s.stops[i] = l.Host.Tcpdump(m.Interface, s.files[i])
	}
	return s
}

// settle waits until every frame seen was mirrored, and no other, and ends the
// mirror and tcpdump. What an interface says to itself after that, tcpdump may
// have seen; it is left out.
func (s *sight) settle() {
	s.t.Helper()
	for i, m := range s.l.Mirrors {
		s.agree(i)
		s.l.Unmirror(m)
		s.sent[i] = s.l.Mirrored(m)
		s.stops[i]()
	}
}

func (s *sight) agree(i int) {
	s.t.Helper()
	var seen, sent int
	defer func() {
		if seen != sent {
			s.t.Logf("%s: tcpdump saw %d frames, and %d were mirrored", s.l.Mirrors[i].Interface, seen, sent)
		}
	}()
	lab.Eventually(s.t, "tcpdump and the mirror agree", func() bool {
		seen, sent = len(readFrames(s.t, s.files[i])), s.l.Mirrored(s.l.Mirrors[i])
		return seen == sent
	})
}

// frames returns what was seen on the i-th mirrored interface while it was
// mirrored.
func (s *sight) frames(i int) []frame {
	s.t.Helper()
	frames := readFrames(s.t, s.files[i])
	return frames[:min(len(frames), s.sent[i])]
}
