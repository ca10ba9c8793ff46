package faultproxy

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
)

var _ net.Listener = (*Pipe)(nil)

// A Pipe is a network of one listener in memory, without buffers, so that the time-outs of both
// ends run in the time of testing/synctest.
type Pipe struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once

	mu  sync.Mutex
	all []net.Conn
}

// NewPipe returns a listener.
func NewPipe() *Pipe { return &Pipe{conns: make(chan net.Conn), done: make(chan struct{})} }

// Dial connects to the listener, whatever the address. Once it is closed the
// connection is refused.
func (p *Pipe) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	near, far := net.Pipe()
	p.mu.Lock()
	p.all = append(p.all, near, far)
	p.mu.Unlock()
	var reset atomic.Bool
	select {
	case p.conns <- &pipeConn{Conn: far, reset: &reset}:
		return &pipeConn{Conn: near, reset: &reset}, nil
	case <-p.done:
		return nil, &net.OpError{Op: "dial", Net: network, Err: fmt.Errorf("%s: %w", address, syscall.ECONNREFUSED)}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept returns the next connection.
func (p *Pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and the connections, and refuses others. So no end waits for
// the other to read a last word.
func (p *Pipe) Close() error {
	p.once.Do(func() { close(p.done) })
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.all {
		c.Close()
	}
	return nil
}

// Addr returns an address without a meaning.
func (p *Pipe) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

// pipeConn is one end of a connection that can be reset.
type pipeConn struct {
	net.Conn
	reset *atomic.Bool
}

// SetLinger is as of TCP: with 0 the other end gets a reset.
func (c *pipeConn) SetLinger(seconds int) error {
	c.reset.Store(seconds == 0)
	return nil
}

func (c *pipeConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	return n, c.ending(err)
}

func (c *pipeConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	return n, c.ending(err)
}

func (c *pipeConn) ending(err error) error {
	if err != nil && c.reset.Load() {
		return &net.OpError{Op: "read", Net: "pipe", Err: syscall.ECONNRESET}
	}
	return err
}
