package hectest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// A Network is in memory, for tests in a bubble of testing/synctest, where time
// stands still while a real connection waits. Its methods may be called at once.
type Network struct {
	t testing.TB

	mu        sync.Mutex
	listeners map[string]*listener // by address
}

// NewNetwork returns an empty network, which ends with t.
func NewNetwork(t testing.TB) *Network {
	return &Network{t: t, listeners: make(map[string]*listener)}
}

// New starts a server that takes the tokens. Only Dial reaches it.
func (n *Network) New(tokens ...string) *Server {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := &listener{addr: fmt.Sprintf("127.0.0.1:%d", len(n.listeners)+1), conns: make(chan net.Conn), closed: make(chan struct{})}
	n.listeners[l.addr] = l
	s := &Server{tokens: tokens}
	web := &http.Server{Handler: s}
	s.Server = &httptest.Server{URL: "http://" + l.addr, Listener: l, Config: web}
	var done sync.WaitGroup
	done.Go(func() { web.Serve(l) })
	n.t.Cleanup(func() {
		web.Close()
		done.Wait()
	})
	return s
}

// Dial connects to a server of the network. It is meant for hec.Config.
func (n *Network) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	n.mu.Lock()
	l := n.listeners[address]
	n.mu.Unlock()
	if l == nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: fmt.Errorf("no server at %s", address)}
	}
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// A listener yields the server's ends of pipes.
type listener struct {
	addr   string
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *listener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
