package pcap_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink/pcap"
)

// stranger returns an unknown session of a source of its own.
func stranger(vni uint32) *packet.Session {
	s := session(fmt.Sprint("vni-", vni))
	s.VNI, s.Source = vni, packet.AddrFrom4([4]byte{10, 9, byte(vni >> 8), byte(vni)})
	return s
}

// learn has a session become a known one, as the table of sessions does.
func learn(s *packet.Session, name, service string) *packet.Session {
	known := session(name)
	known.VNI, known.Source, known.Known, known.Workload.Service = s.VNI, s.Source, true, service
	s.Become(known)
	s.Ended.Store(true)
	return known
}

// give offers frames of worker 0's, as of now, and waits until the writer has
// done what there was to do.
func give(s *pcap.Sink, frames ...*packet.Frame) {
	for _, f := range frames {
		s.Offer(0, f)
	}
	pass(s, time.Second)
}

// pass lets time pass in which nothing comes.
func pass(s *pcap.Sink, d time.Duration) {
	for range 2 {
		now := time.Now().UnixNano()
		s.Mark(0, now, now)
		time.Sleep(d / 2)
		synctest.Wait()
	}
}

// contents returns what frames every file has, by the file's path with times of
// frames left out.
func contents(t testing.TB, dir string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	for path, content := range tree(t, dir) {
		name := strings.Split(path, "_")
		short := strings.Join(slices.Delete(name, len(name)-2, len(name)-1), "_")
		if _, there := found[short]; there {
			t.Errorf("two files are %s", short)
		}
		found[short] = fmt.Sprint(orders(t, content))
	}
	return found
}

func want(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	got := contents(t, dir)
	if fmt.Sprint(got) != fmt.Sprint(files) {
		t.Errorf("files\n%v, want\n%v", got, files)
	}
}

// directories returns the names of those below dir.
func directories(t testing.TB, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			all = append(all, e.Name())
		}
	}
	return all
}

// The file of an unknown session that became another goes on and has the new
// name at once, however that is noticed.
func TestFileGoesOnUnderWhatTheSessionBecame(t *testing.T) {
	for name, next := range map[string]func(s *pcap.Sink, before, after *packet.Session){
		"by its next frame": func(s *pcap.Sink, _, after *packet.Session) { s.Offer(0, frame(after, 2, 60)) },
		"by a frame looked up before": func(s *pcap.Sink, before, _ *packet.Session) {
			s.Offer(0, frame(before, 2, 60))
		},
		"by the clock, then a frame long after": func(s *pcap.Sink, _, after *packet.Session) {
			pass(s, time.Minute)
			s.Offer(0, frame(after, 2, 60))
		},
		"while nothing is written": func(s *pcap.Sink, before, after *packet.Session) {
			pass(s, time.Minute)
			s.Offer(0, frame(before, 2, 60)) // was not seen for a minute
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				s := open(t, pcap.Config{Dir: dir})
				before := stranger(7)
				give(s, frame(before, 0, 60), frame(before, 1, 60))
				want(t, dir, map[string]string{"vni-7/vni-7_000001.pcap.partial": "[0 1]"})
				after := learn(before, "web", "")
				next(s, before, after)
				give(s, frame(before, 3, 60), frame(after, 4, 60))
				want(t, dir, map[string]string{"web/web_000001.pcap.partial": "[0 1 2 3 4]"})
				finish(t, s)
				want(t, dir, map[string]string{"web/web_000001.pcap": "[0 1 2 3 4]"})
				if got := directories(t, dir); fmt.Sprint(got) != "[web]" {
					t.Errorf("directories %q", got)
				}
			})
		})
	}
}

// A session that becomes another by the end, or with which its frames come in
// one batch, or twice, has one file.
func TestFileOfASessionThatBecameUnseen(t *testing.T) {
	for name, run := range map[string]func(s *pcap.Sink, before *packet.Session){
		"before it is written": func(s *pcap.Sink, before *packet.Session) {
			s.Offer(0, frame(before, 0, 60))
			after := learn(before, "web", "")
			s.Offer(0, frame(after, 1, 60))
			s.Offer(0, frame(before, 2, 60))
			give(s, frame(after, 3, 60))
		},
		"at the end": func(s *pcap.Sink, before *packet.Session) {
			give(s, frame(before, 0, 60), frame(before, 1, 60), frame(before, 2, 60), frame(before, 3, 60))
			learn(before, "web", "")
		},
		"twice": func(s *pcap.Sink, before *packet.Session) {
			give(s, frame(before, 0, 60))
			between := learn(before, "eni-1", "")
			after := learn(between, "web", "")
			give(s, frame(before, 1, 60), frame(after, 2, 60), frame(between, 3, 60))
		},
		"before its first frame, and ends before the next": func(s *pcap.Sink, before *packet.Session) {
			after := learn(before, "web", "")
			give(s, frame(before, 0, 60), frame(before, 1, 60))
			pass(s, time.Minute)
			give(s, frame(after, 2, 60), frame(after, 3, 60))
		},
		"twice, seen between": func(s *pcap.Sink, before *packet.Session) {
			give(s, frame(before, 0, 60))
			between := learn(before, "eni-1", "")
			give(s, frame(between, 1, 60))
			after := learn(between, "web", "")
			give(s, frame(after, 2, 60), frame(before, 3, 60))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				s := open(t, pcap.Config{Dir: dir})
				run(s, stranger(7))
				finish(t, s)
				want(t, dir, map[string]string{"web/web_000001.pcap": "[0 1 2 3]"})
			})
		})
	}
}

// What was complete before keeps its name, and what ended without becoming
// anything too; numbers are those of the new name.
func TestFilesCompleteBeforeKeepTheirName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := open(t, pcap.Config{Dir: dir, Rotate: pcap.Rotate{Packets: 2}})
		before, ended := stranger(7), stranger(8)
		give(s, frame(ended, 0, 60))
		ended.Ended.Store(true)
		give(s, frame(before, 1, 60), frame(before, 2, 60), frame(before, 3, 60))
		after := learn(before, "web", "")
		give(s, frame(after, 4, 60), frame(after, 5, 60))
		finish(t, s)
		want(t, dir, map[string]string{
			"vni-8/vni-8_000001.pcap": "[0]",
			"vni-7/vni-7_000001.pcap": "[1 2]",
			"web/web_000001.pcap":     "[3 4]",
			"web/web_000002.pcap":     "[5]",
		})
	})
}
