package pcap_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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

// A new name never replaces a file, be it the sink's or somebody else's.
func TestNewNameReplacesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := open(t, pcap.Config{Dir: dir})
		first, before := session("web"), stranger(7)
		give(s, frame(first, 0, 60))
		give(s, frame(before, 1, 60))
		stamp := time.Unix(0, base+1).UTC().Format("20060102T150405.000Z")
		for _, name := range []string{"_000002.pcap", "_000003.pcap.partial"} {
			content := string(fileOf(t, dir, "vni-7"))
			if err := os.WriteFile(filepath.Join(dir, "web", "web_"+stamp+name), []byte(content), 0o640); err != nil {
				t.Fatal(err)
			}
		}
		after := learn(before, "web", "")
		give(s, frame(after, 2, 60), frame(first, 3, 60))
		finish(t, s)
		want(t, dir, map[string]string{
			"web/web_000001.pcap":         "[0 3]",
			"web/web_000002.pcap":         "[1]",
			"web/web_000003.pcap.partial": "[1]",
			"web/web_000004.pcap":         "[1 2]",
		})
	})
}

func fileOf(t testing.TB, dir, name string) []byte {
	t.Helper()
	for path, content := range tree(t, filepath.Join(dir, name)) {
		if path != "" {
			return []byte(content)
		}
	}
	t.Fatalf("there is no file of %s", name)
	return nil
}

// A file that cannot have its new name is completed under the old one, and the
// frames that follow are accounted for.
func TestNewNameThatCannotBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		log, text := logger(t)
		s := open(t, pcap.Config{Dir: dir, Log: log})
		if err := os.WriteFile(filepath.Join(dir, "web"), nil, 0o640); err != nil {
			t.Fatal(err)
		}
		before := stranger(7)
		give(s, frame(before, 0, 60))
		after := learn(before, "web", "")
		give(s, frame(after, 1, 60))
		if err := os.Remove(filepath.Join(dir, "web")); err != nil {
			t.Fatal(err)
		}
		pass(s, 3*time.Second)
		give(s, frame(after, 2, 60))
		finish(t, s)
		want(t, dir, map[string]string{"vni-7/vni-7_000001.pcap": "[0]", "web/web_000001.pcap": "[2]"})
		if l := s.Ledger(); l.Stored != 2 || l.Dropped[packet.DropIO] != 1 {
			t.Errorf("%+v", l)
		}
		if !strings.Contains(text.String(), "keeps its name") {
			t.Errorf("log\n%s", text)
		}
	})
}

// A file that was taken away is missed when it is to have another name.
func TestFileTakenAwayBeforeItIsRenamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := open(t, pcap.Config{Dir: dir})
		before := stranger(7)
		give(s, frame(before, 0, 60))
		if err := os.RemoveAll(filepath.Join(dir, "vni-7")); err != nil {
			t.Fatal(err)
		}
		after := learn(before, "web", "")
		give(s, frame(after, 1, 60))
		finish(t, s)
		want(t, dir, map[string]string{"web/web_000001.pcap": "[1]"})
		if st := s.Stats(); st.FilesIncomplete != 1 || st.FilesCompleted != 1 || st.FilesCompleting != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// Retention has a file that was renamed by its new name, and in its sums once.
func TestRetentionOfARenamedFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := open(t, pcap.Config{Dir: dir, Rotate: pcap.Rotate{Every: time.Minute}, Retain: pcap.Retain{Age: time.Hour}})
		before := stranger(7)
		give(s, frame(before, 0, 60))
		after := learn(before, "web", "")
		give(s, frame(after, 1, 60))
		pass(s, 2*time.Minute)
		if st := s.Stats(); st.RetainedFiles != 1 || st.RetainedBytes != 24+2*76 {
			t.Errorf("%+v", st)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if got := directories(t, dir); len(got) != 0 {
			t.Errorf("directories %q are left", got)
		}
		finish(t, s)
	})
}

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
				frames += len(read(t, content))
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
