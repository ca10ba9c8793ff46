package flowlog_test

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
	"github.com/periscope-collector/periscope/sink/flowlog"
)

// writeForever is what the test's own binary does when it is started by
// startWriter: it writes to dir as a collector does, until it is killed, and
// says how many records are stored.
func writeForever(dir string) {
	s, err := flowlog.Open(flowlog.Config{Dir: dir})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("writing")
	sessions := []*packet.Session{newSession(1, "a", "1"), newSession(2, "b", "2"), newSession(3, "c", "3")}
	for n := uint16(0); ; n++ {
		now := time.Now().UnixNano()
		for i := range 300 {
			s.Flow(0, flow(sessions[i%3], base, n))
		}
		s.Mark(0, 0, now)
		s.Mark(0, 0, now+second)
		if n%50 == 49 {
			s.Cut(0, cut(base+int64(n)*minute))
		}
		fmt.Println(s.Ledger().Stored)
	}
}

// A writing is a process that runs writeForever.
type writing struct {
	*exec.Cmd
	lines *bufio.Scanner
}

func startWriter(t *testing.T, dir string) writing {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "FLOWLOG_TEST_WRITE="+dir)
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
	var atLeast uint64
	for round := range 4 {
		w := startWriter(t, dir)
		var stored uint64
		for w.lines.Scan() && stored < uint64(5000*(round+1)) {
			fmt.Sscan(w.lines.Text(), &stored)
		}
		w.Process.Kill()
		w.Wait()
		atLeast += 2 * stored

		log, text := logger()
		s := open(t, flowlog.Config{Dir: dir, Log: log})
		finish(t, s)
		if strings.Contains(text.String(), "left as it is") {
			t.Errorf("log\n%s", text)
		}
		for _, name := range names(tree(t, dir)) {
			if !strings.HasSuffix(name, ".log.gz") {
				t.Errorf("%s after the next start", name)
			}
		}
		if n := uint64(len(lines(t, dir))); n < atLeast {
			t.Errorf("round %d: %d lines in the files, of %d stored", round, n, atLeast)
		}
	}
}

func TestLocked(t *testing.T) {
	path := t.TempDir()
	w := startWriter(t, path)
	_, err := flowlog.Open(flowlog.Config{Dir: path})
	var locked *dir.LockedError
	if !errors.As(err, &locked) || !strings.Contains(err.Error(), fmt.Sprintf("pid %d on ", w.Process.Pid)) || strings.Contains(err.Error(), "\n") {
		t.Fatalf("error %v, want one line that names pid %d", err, w.Process.Pid)
	}
	w.Process.Kill()
	w.Wait()
	finish(t, open(t, flowlog.Config{Dir: path}))
}

func TestCloseOutOfTime(t *testing.T) {
	s := open(t, flowlog.Config{Dir: t.TempDir()})
	s.Flow(0, flow(newSession(1, "a", "1"), base, 1))
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
