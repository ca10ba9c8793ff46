package lab_test

import (
	"net"
	"sync"
	"syscall"
	"testing"

	"github.com/periscope-collector/periscope/internal/lab"
)

// What the test does in a namespace is seen there, and the test's own goroutine
// stays where it is.
func TestLabInside(t *testing.T) {
	l := lab.New(t)
	var server net.Listener
	var err error
	inside := l.Collector.Do(func() {
		if _, err = net.InterfaceByName("u0"); err == nil {
			server, err = net.Listen("tcp", "127.0.0.1:0")
		}
	})
	if inside != nil || err != nil {
		t.Fatal(inside, err)
	}
	defer server.Close()
	if _, err := net.InterfaceByName("u0"); err == nil {
		t.Error("the test itself is in the namespace")
	}
	c, err := l.Collector.DialContext(t.Context(), "tcp", server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if c, err := l.Host.DialContext(t.Context(), "tcp", server.Addr().String()); err == nil {
		c.Close()
		t.Error("another namespace reaches it")
	}
}

// A program that was started from a thread that was in a namespace since goes on.
func TestLabInsideKeepsPrograms(t *testing.T) {
	l := lab.New(t)
	var programs []*lab.Program
	for range 20 {
		var started sync.WaitGroup
		started.Go(func() {
			programs = append(programs, l.Host.Start("", "sleep", "600"))
		})
		started.Wait()
		for range 5 {
			if err := l.Collector.Do(func() {}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, p := range programs {
		if err := p.Signal(syscall.Signal(0)); err != nil {
			t.Error(err)
		}
	}
}
