package pcap_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink/dir"
	"github.com/periscope-collector/periscope/sink/pcap"
)

// writeForever is what the test's own binary does when it is started by
// startWriter: it writes to dir as a collector does, until it is killed, and
// says how many frames are stored.
func writeForever(dir string) {
	s, err := pcap.Open(pcap.Config{Dir: dir, Workers: 1, Rotate: pcap.Rotate{Size: 200_000}, OpenFiles: 2})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("writing")
	sessions := []*packet.Session{{ID: 1, Name: "a"}, {ID: 2, Name: "b"}, {ID: 3, Name: "c"}}
	var order int64
	for {
		now := time.Now().UnixNano()
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

// A writing is a process that writes until it is killed.
type writing struct {
	*exec.Cmd
	lines *bufio.Scanner
}

// startWriter starts the function that TestMain knows by the variable.
func startWriter(t *testing.T, dir, variable string) writing {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), variable+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	w := writing{cmd, bufio.NewScanner(out)}
	if !w.lines.Scan() || w.lines.Text() != "writing" {
		t.Fatalf("the writing process says %q", w.lines.Text())
	}
	return w
}

func TestKill(t *testing.T) {
	dir := t.TempDir()
	var atLeast, inFiles uint64
	interrupted := 0
	for round := range 5 {
		w := startWriter(t, dir, "PCAP_TEST_WRITE")
		var stored uint64
		for w.lines.Scan() && stored < uint64(3000*(round+1)) {
			fmt.Sscan(w.lines.Text(), &stored)
		}
		w.Process.Kill()
		w.Wait()
		atLeast += stored

		partial := 0
		for name, content := range tree(t, dir) {
			if strings.HasSuffix(name, ".partial") {
				partial++
				content = content[:wholeBytes(content)]
			}
			if len(content) > 0 {
				read(t, content) // fails on a record that is cut
			}
		}
		interrupted += partial

		s, got := reopen(t, pcap.Config{Dir: dir})
		if got.finished+got.salvaged+got.removed != partial || got.left != 0 {
			t.Errorf("%d partial files, salvaged %+v", partial, got)
		}
		finish(t, s)
		inFiles = 0
		for name, content := range tree(t, dir) {
			if !strings.HasSuffix(name, ".pcap") {
				t.Errorf("%s after the next start", name)
			}
			inFiles += uint64(len(read(t, content)))
		}
		if inFiles < atLeast {
			t.Errorf("round %d: %d frames in the files, of %d stored", round, inFiles, atLeast)
		}
	}
	if interrupted == 0 { // in one round all files may just be complete
		t.Error("nothing was being written")
	}
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	w := startWriter(t, dir, "PCAP_TEST_WRITE")
	_, err := pcap.Open(pcap.Config{Dir: dir})
	var locked *lockedError
	if !errors.As(err, &locked) || !strings.Contains(err.Error(), fmt.Sprintf("pid %d on ", w.Process.Pid)) {
		t.Fatalf("error %v, want one that names pid %d", err, w.Process.Pid)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than one line: %q", err)
	}
	w.Process.Kill()
	w.Wait()
	s := open(t, pcap.Config{Dir: dir})
	if _, err := pcap.Open(pcap.Config{Dir: dir}); !errors.As(err, &locked) {
		t.Errorf("a second sink in the same process: %v", err)
	}
	finish(t, s)
	finish(t, open(t, pcap.Config{Dir: dir}))
}

// A directory that was removed and is written by another process by the time
// it is missed stays the other's.
func TestLockLost(t *testing.T) {
	dir := t.TempDir()
	log, text := logger(t)
	s := open(t, pcap.Config{Dir: dir, Replay: true, Log: log})
	os.Remove(dir + "/.lock")
	other := open(t, pcap.Config{Dir: dir})
	s.Offer(0, frame(session("s"), 0, 60))
	finish(t, s)
	if l := s.Ledger(); l.Dropped[packet.DropIO] != 1 || !strings.Contains(text.String(), "is being written by pid") {
		t.Errorf("ledger %+v, log\n%s", l, text)
	}
	finish(t, other)
}

func TestCloseOutOfTime(t *testing.T) {
	s := open(t, pcap.Config{Dir: t.TempDir()})
	s.Offer(0, frame(session("s"), 0, 60))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	// Either outcome is right, depending on who is faster; both are accounted.
	if err := s.Close(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if l := s.Ledger(); l.Imbalance() != 0 {
		t.Errorf("%+v", l)
	}
	finish(t, s)
}

type lockedError = dir.LockedError
