package pcap_test

import (
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink/pcap"
)

// task returns a known session of a service.
func task(name, service string) *packet.Session {
	s := session(name)
	s.Known, s.Workload.Service = true, service
	s.VNI, s.Source = s.ID, packet.AddrFrom4([4]byte{10, 8, byte(s.ID >> 8), byte(s.ID)})
	return s
}

// What a group shares is in one file, in the order of time; equal names number
// their files in one series, whoever has them, and names keep their escapes.
func TestGroups(t *testing.T) {
	tests := map[string]struct {
		group pcap.Group
		want  map[string]string
	}{
		"by session": {pcap.BySession, map[string]string{
			"web-1/web-1_000001.pcap": "[0 6]", "web-2/web-2_000001.pcap": "[1 7]", "web/web_000001.pcap": "[2 8]",
			"web/web_000002.pcap": "[3 9]", "a%2Fb/a%2Fb_000001.pcap": "[4 10]", "all/all_000001.pcap": "[5 11]",
		}},
		"by service": {pcap.ByService, map[string]string{
			"web/web_000001.pcap": "[0 1 6 7]", "web/web_000002.pcap": "[2 8]",
			"%2E%2E%2Fweb/%2E%2E%2Fweb_000001.pcap": "[3 9]", "a%2Fb/a%2Fb_000001.pcap": "[4 10]", "all/all_000001.pcap": "[5 11]",
		}},
		"together": {pcap.Together, map[string]string{"all/all_000001.pcap": "[0 1 2 3 4 5 6 7 8 9 10 11]"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, pcap.Config{Dir: dir, Replay: true, Group: tt.group})
			sessions := []*packet.Session{
				task("web-1", "web"), task("web-2", "web"), task("web", ""), task("web", "../web"), task("a/b", ""), task("all", ""),
			}
			for i := range int64(12) {
				s.Offer(0, frame(sessions[i%6], i, 60))
			}
			finish(t, s)
			want(t, dir, tt.want)
		})
	}
	if _, err := pcap.Open(pcap.Config{Dir: t.TempDir(), Group: pcap.Together + 1}); err == nil {
		t.Error("there is one more group")
	}
}

// Sessions of equal names that are there at once have files of their own.
func TestEqualNamesAtOnce(t *testing.T) {
	for _, group := range []pcap.Group{pcap.BySession, pcap.ByService} {
		dir := t.TempDir()
		s := open(t, pcap.Config{Dir: dir, Replay: true, Group: group, Rotate: pcap.Rotate{Packets: 2}, OpenFiles: 1})
		a, b := session("web"), session("web")
		for i := range int64(8) {
			s.Offer(0, frame([]*packet.Session{a, b}[i%2], i, 60))
		}
		finish(t, s)
		want(t, dir, map[string]string{
			"web/web_000001.pcap": "[0 2]", "web/web_000002.pcap": "[1 3]", "web/web_000003.pcap": "[4 6]", "web/web_000004.pcap": "[5 7]",
		})
	}
}

// A group's file ends with the last of its sessions, not before.
func TestGroupEndsWithItsLastSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := open(t, pcap.Config{Dir: dir, Group: pcap.ByService})
		a, b := task("web-1", "web"), task("web-2", "web")
		give(s, frame(a, 0, 60), frame(b, 1, 60))
		a.Ended.Store(true)
		give(s, frame(b, 2, 60))
		pass(s, time.Minute)
		want(t, dir, map[string]string{"web/web_000001.pcap.partial": "[0 1 2]"})
		b.Ended.Store(true)
		pass(s, time.Minute)
		want(t, dir, map[string]string{"web/web_000001.pcap": "[0 1 2]"})
		give(s, frame(task("web-3", "web"), 3, 60))
		finish(t, s)
		want(t, dir, map[string]string{"web/web_000001.pcap": "[0 1 2]", "web/web_000002.pcap": "[3]"})
		if r := s.Stats().Rotations; r[pcap.ByEnd] != 2 {
			t.Errorf("rotations %v", r)
		}
	})
}

// A session that turns out to be of a service brings its file along: as the
// service's, or, if that has one, as one more of it.
func TestSessionBecomesOneOfAGroup(t *testing.T) {
	tests := map[string]struct {
		group pcap.Group
		run   func(s *pcap.Sink)
		want  map[string]string
	}{
		"the first of its service": {pcap.ByService, func(s *pcap.Sink) {
			before := stranger(7)
			give(s, frame(before, 0, 60))
			after := learn(before, "web-1", "web")
			give(s, frame(after, 1, 60), frame(task("web-2", "web"), 2, 60))
		}, map[string]string{"web/web_000001.pcap": "[0 1 2]"}},
		"of a service that has a file": {pcap.ByService, func(s *pcap.Sink) {
			before, other := stranger(7), task("web-2", "web")
			give(s, frame(before, 0, 60), frame(other, 1, 60))
			after := learn(before, "web-1", "web")
			give(s, frame(after, 2, 60), frame(before, 3, 60), frame(other, 4, 60))
		}, map[string]string{"web/web_000001.pcap": "[1 2 3 4]", "web/web_000002.pcap": "[0]"}},
		"of a service that has a file, with frames in the round": {pcap.ByService, func(s *pcap.Sink) {
			before, other := stranger(7), task("web-2", "web")
			give(s, frame(before, 0, 60), frame(other, 1, 60))
			after := learn(before, "web-1", "web")
			give(s, frame(before, 2, 60), frame(after, 3, 60))
		}, map[string]string{"web/web_000001.pcap": "[1 3]", "web/web_000002.pcap": "[0 2]"}},
		"before anything is written": {pcap.ByService, func(s *pcap.Sink) {
			before, other := stranger(7), task("web-2", "web")
			s.Offer(0, frame(before, 0, 60))
			s.Offer(0, frame(other, 1, 60))
			after := learn(before, "web-1", "web")
			give(s, frame(after, 2, 60), frame(before, 3, 60))
		}, map[string]string{"web/web_000001.pcap": "[0 1 2 3]"}},
		"of none": {pcap.ByService, func(s *pcap.Sink) {
			before := stranger(7)
			give(s, frame(before, 0, 60))
			give(s, frame(learn(before, "eni-1", ""), 1, 60), frame(before, 2, 60))
		}, map[string]string{"eni-1/eni-1_000001.pcap": "[0 1 2]"}},
		"two at once": {pcap.ByService, func(s *pcap.Sink) {
			a, b := stranger(7), stranger(8)
			give(s, frame(a, 0, 60))
			give(s, frame(b, 1, 60))
			x, y := learn(a, "web-1", "web"), learn(b, "web-2", "web")
			give(s, frame(x, 2, 60), frame(y, 3, 60))
		}, map[string]string{"web/web_000001.pcap": "[0 2 3]", "web/web_000002.pcap": "[1]"}},
		"of one service, of which more is known": {pcap.ByService, func(s *pcap.Sink) {
			before := stranger(7)
			give(s, frame(before, 0, 60))
			between := learn(before, "web-1", "web")
			give(s, frame(between, 1, 60), frame(task("web-2", "web"), 2, 60))
			after := learn(between, "web-1", "web")
			give(s, frame(after, 3, 60), frame(between, 4, 60))
		}, map[string]string{"web/web_000001.pcap": "[0 1 2 3 4]"}},
		"of another service": {pcap.ByService, func(s *pcap.Sink) {
			before, other := task("web-1", "web"), task("web-2", "web")
			give(s, frame(before, 0, 60), frame(other, 1, 60))
			after := learn(before, "api-1", "api")
			give(s, frame(after, 2, 60), frame(before, 3, 60), frame(other, 4, 60))
		}, map[string]string{"web/web_000001.pcap": "[0 1 4]", "api/api_000001.pcap": "[2 3]"}},
		"of all": {pcap.Together, func(s *pcap.Sink) {
			before := stranger(7)
			give(s, frame(before, 0, 60))
			give(s, frame(learn(before, "web-1", "web"), 1, 60), frame(before, 2, 60))
		}, map[string]string{"all/all_000001.pcap": "[0 1 2]"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				s := open(t, pcap.Config{Dir: dir, Group: tt.group})
				tt.run(s)
				finish(t, s)
				want(t, dir, tt.want)
			})
		})
	}
}

// A replay of a group is the same for any number of workers.
func TestReplayOfGroupsIsTheSameForAnyNumberOfWorkers(t *testing.T) {
	const n = 10_000
	for _, group := range []pcap.Group{pcap.ByService, pcap.Together} {
		sessions := []*packet.Session{task("a-1", "a"), task("a-2", "a"), task("b-1", "b"), task("a", ""), task("c", "")}
		random := rand.New(rand.NewPCG(1, 2))
		frames := make([]*packet.Frame, n)
		flow := make([]int, n)
		for i := range frames {
			frames[i] = frame(sessions[random.IntN(len(sessions))], int64(i), 8+random.IntN(1500))
			frames[i].Time = base + int64(i)*1e6 + random.Int64N(5e6) // not in order
			flow[i] = random.IntN(1000)
		}
		var want map[string]string
		for _, workers := range []int{1, 2, 8} {
			dir := t.TempDir()
			s := open(t, pcap.Config{
				Dir: dir, Workers: workers, Replay: true, Buffer: 1, Group: group, OpenFiles: 2,
				Rotate: pcap.Rotate{Size: 1 << 20, Every: 3 * time.Second, Packets: 3000},
			})
			var wg sync.WaitGroup
			for w := range workers {
				wg.Go(func() {
					for i, f := range frames {
						if flow[i]%workers == w {
							s.Offer(w, f)
						}
						if i%256 == 255 {
							s.Mark(w, int64(i+1), 0)
						}
					}
					s.Mark(w, n, 0)
				})
			}
			wg.Wait()
			finish(t, s)
			got := tree(t, dir)
			if want == nil {
				want = got
			}
			if len(got) < 4 || !maps.Equal(got, want) {
				t.Errorf("%d workers: files %q differ from those of one worker, %q", workers, names(got), names(want))
			}
		}
		for name, content := range want {
			if !slices.IsSorted(orders(t, content)) {
				t.Errorf("%s is not in order", name)
			}
		}
	}
}
