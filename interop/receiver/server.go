package receiver

import (
	"net"
	"slices"
	"sync"
	"testing"
)

// A Server is a Receiver for a test, on loopback, that keeps in memory what it
// took. Its methods may be called at once.
type Server struct {
	Addr string // host:port

	mu     sync.Mutex
	events []Event
}

// New starts a server that takes the tokens, and stops it at the end of t.
func New(t testing.TB, acks bool, tokens ...string) *Server {
	t.Helper()
	s := &Server{Addr: free(t)}
	r, err := Start(Config{Addr: s.Addr, Tokens: tokens, Acks: acks}, func(es []Event) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.events = append(s.events, es...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Events returns what was taken so far, in order.
func (s *Server) Events() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// free returns an address nothing listens on now.
func free(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
