package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// The service manager is told when the collector is ready, that it lives, that
// it reloads, and that it stops.
func TestServiceManagerIsTold(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp(scratch, "") // paths of sockets are short
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var told []string
	var wg sync.WaitGroup
	wg.Go(func() {
		b := make([]byte, 4096)
		for {
			n, err := socket.Read(b)
			if err != nil {
				return
			}
			mu.Lock()
			told = append(told, string(b[:n]))
			mu.Unlock()
		}
	})
	defer wg.Wait()
	defer socket.Close()
	count := func(state string) (n int) {
		mu.Lock()
		defer mu.Unlock()
		for _, s := range told {
			if first, _, _ := strings.Cut(s, "\n"); first == state {
				n++
			}
		}
		return n
	}
	wait := func(state string, n int) {
		t.Helper()
		eventually(t, state, func() bool { return count(state) >= n })
	}

	c := collect(t, setup{env: []string{"NOTIFY_SOCKET=" + path, "WATCHDOG_USEC=4000000", "WATCHDOG_PID="}})
	wait("READY=1", 1)
	wait("WATCHDOG=1", 2)
	c.reload()
	wait("RELOADING=1", 1)
	wait("READY=1", 2)
	if n := count("STOPPING=1"); n != 0 {
		t.Errorf("STOPPING=1 while it runs")
	}
	c.signal(syscall.SIGTERM)
	c.end()
	wait("STOPPING=1", 1)
	mu.Lock()
	defer mu.Unlock()
	for _, s := range told {
		if strings.HasPrefix(s, "RELOADING=1") && !strings.Contains(s, "\nMONOTONIC_USEC=") {
			t.Errorf("%q has no time, which Type=notify-reload wants", s)
		}
	}
	if last := told[len(told)-1]; last != "STOPPING=1" {
		t.Errorf("told last: %q", last)
	}
}
