package spool

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
)

// appendForever is what the test's own binary does when it is started by
// TestKill, until it is killed: it appends numbers and says, after each sync,
// how many are there. It commits nothing.
func appendForever(path string) {
	s, err := Open(Config{Dir: path, Size: 1 << 30, SegmentBytes: 64 << 10, SyncEvery: time.Millisecond})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for n := 1; ; n++ {
		if err := s.Append(fmt.Appendf(nil, "%d %d", os.Getpid(), n)); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		if n%97 == 0 {
			s.Return(func() *Batch { b, _ := s.Read(1, 1); return b }()) // reading gives all to the kernel
			s.Sync()
			fmt.Println(n)
		}
	}
}

func TestKill(t *testing.T) {
	path := t.TempDir()
	for round := range kills {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "SPOOL_TEST_WRITE="+path)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		said := 0
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if _, err := fmt.Sscan(lines.Text(), &said); err != nil {
				t.Fatal(lines.Text())
			}
			if said >= 97*(1+round%7) {
				cmd.Process.Kill()
			}
		}
		cmd.Wait()
		s := open(t, Config{Dir: path, Size: 1 << 30})
		got := drain(t, s)
		for i, e := range got {
			if e != fmt.Sprintf("%d %d", cmd.Process.Pid, i+1) {
				t.Fatalf("round %d: event %d is %q", round, i+1, e)
			}
		}
		if len(got) < said || said == 0 {
			t.Fatalf("round %d: %d events, %d were in the spool", round, len(got), said)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
