package pcap_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink/pcap"
)

// A thousand sessions become known at once under load: each has one file, of all
// its frames in order, and the account balances.
func TestThousandSessionsBecomeKnownAtOnce(t *testing.T) {
	for _, service := range []string{"", "web"} {
		t.Run("service="+service, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, pcap.Config{Dir: dir, Workers: 2, OpenFiles: 64, Group: pcap.ByService})
			const n, rounds = 1000, 30
			sessions := make([]*packet.Session, n)
			for i := range sessions {
				sessions[i] = stranger(uint32(i + 1))
			}
			var wg sync.WaitGroup
			half := make(chan struct{})
			for w := range 2 {
				wg.Go(func() {
					for round := range rounds {
						now := time.Now().UnixNano()
						for i := w; i < n; i += 2 {
							s.Offer(w, frame(sessions[i].Identified(), int64(round), 100))
						}
						s.Mark(w, now, now)
						if w == 0 && round == rounds/2 {
							close(half)
						}
						time.Sleep(time.Millisecond)
					}
				})
			}
			<-half
			for i, before := range sessions {
				learn2(before, uint32(i+1_000_001), fmt.Sprint("task-", i), service)
			}
			wg.Wait()
			finish(t, s)
			if l := s.Ledger(); l.Stored != n*rounds {
				t.Errorf("%+v", l)
			}
			frames := 0
			for path, content := range tree(t, dir) {
				if strings.HasPrefix(path, "vni-") || !strings.HasSuffix(path, ".pcap") {
					t.Fatalf("%s", path)
				}
				found := orders(t, content)
				if service == "" && (len(found) != rounds || !slices.IsSorted(found)) {
					t.Fatalf("%s has frames %v", path, found)
				}
				frames += len(found)
			}
			dirs, files := len(directories(t, dir)), len(tree(t, dir))
			if frames != n*rounds || service == "" && (dirs != n || files != n) || service != "" && (dirs != 1 || files > n) {
				t.Errorf("%d frames in %d files in %d directories", frames, files, dirs)
			}
		})
	}
}

// learn2 is learn with the session's number, for when others make sessions too.
func learn2(s *packet.Session, id uint32, name, service string) {
	known := &packet.Session{ID: id, VNI: s.VNI, Source: s.Source, Name: name, Known: true, Workload: packet.Workload{Service: service}}
	s.Become(known)
	s.Ended.Store(true)
}

// Offer allocates nothing for a session that became another.
func TestOfferDoesNotAllocateWhenSessionsBecome(t *testing.T) {
	s := open(t, pcap.Config{Dir: t.TempDir(), Rotate: pcap.Rotate{Size: 1 << 40}})
	before := stranger(7)
	sessions := []*packet.Session{before, before}
	f := frame(before, 0, 700)
	var order int64
	batch := func() {
		for range 64 {
			order++
			f.Order, f.Session = order, sessions[order%2]
			s.Offer(0, f)
		}
		s.Mark(0, order, order*1e6)
	}
	for range 1000 { // the writer's lists grow to their size
		batch()
	}
	before.Become(session("web")) // it has not ended yet
	sessions[0] = before.Identified()
	for range 1000 {
		batch()
	}
	if n := testing.AllocsPerRun(2000, batch); n != 0 {
		t.Errorf("%v allocations a batch, want 0", n)
	}
	finish(t, s)
}

// becomeForever is writeForever of sessions that become known again and again.
func becomeForever(dir string) {
	s, err := pcap.Open(pcap.Config{Dir: dir, Rotate: pcap.Rotate{Size: 200_000}, OpenFiles: 2})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("writing")
	process := fmt.Sprint(os.Getpid())
	var sessions [3]*packet.Session
	var order int64
	for i := uint32(1); ; i++ {
		now := time.Now().UnixNano()
		for k, one := range sessions {
			switch {
			case i%40 == 1:
				sessions[k] = stranger(i*3 + uint32(k))
			case i%40 == 20:
				sessions[k] = learn(one, fmt.Sprintf("task-%s-%d-%d", process, i, k), "")
			}
		}
		for range 64 {
			f := frame(sessions[order%3], order, 100+int(order%900))
			f.Time, f.Order = now, now
			s.Offer(0, f)
			order++
		}
		s.Mark(0, now, now)
		fmt.Println(s.Ledger().Stored)
	}
}

// A killed process leaves every stored frame in one file, and a file that was
// renamed is finished under its new name.
func TestKillWhileSessionsBecome(t *testing.T) {
	dir := t.TempDir()
	var atLeast, before uint64
	for round := range 3 {
		w := startWriter(t, dir, "PCAP_TEST_BECOME")
		var stored uint64
		for w.lines.Scan() && stored < uint64(20_000*(round+1)) {
			fmt.Sscan(w.lines.Text(), &stored)
		}
		w.Process.Kill()
		w.Wait()
		atLeast += stored

		finish(t, open(t, pcap.Config{Dir: dir}))
		seen := make(map[string]bool)
		var inFiles, renamed uint64
		for name, content := range tree(t, dir) {
			if !strings.HasSuffix(name, ".pcap") || !strings.HasPrefix(filepath.Base(name), filepath.Dir(name)+"_") {
				t.Errorf("%s after the next start", name)
			}
			if strings.HasPrefix(name, "task-") {
				renamed++
			}
			for _, r := range read(t, content) {
				key := fmt.Sprint(r.time, r.data)
				if seen[key] {
					t.Fatalf("a frame is in two files, one of them %s", name)
				}
				seen[key] = true
				inFiles++
			}
		}
		if inFiles < atLeast || inFiles == before || renamed == 0 {
			t.Errorf("round %d: %d frames in the files, of %d stored; %d files have their new name", round, inFiles, atLeast, renamed)
		}
		before = inFiles
	}
}
