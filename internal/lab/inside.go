package lab

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Do calls f in the namespace, and returns when f has: sockets that f's own
// goroutine makes are of the namespace. Any goroutine may call it.
func (n *Namespace) Do(f func()) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// The first thread cannot end, and where it is, the process is said
			// to be. While this goroutine has it, another one does not get it.
			err := n.Do(f)
			runtime.UnlockOSThread()
			done <- err
			return
		}
		err := n.enter() // for good: the thread ends with the goroutine
		if err == nil {
			f()
		}
		done <- err
	}()
	return <-done
}

// enter moves the calling thread into the namespace.
func (n *Namespace) enter() error {
	ns, err := os.Open("/run/netns/" + n.name)
	if err != nil {
		return err
	}
	defer ns.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter %s: %w", n.name, err)
	}
	return nil
}

// DialContext connects from within the namespace, as net.Dialer's method does;
// address is a number.
func (n *Namespace) DialContext(ctx context.Context, network, address string) (c net.Conn, err error) {
	var d net.Dialer
	if e := n.Do(func() { c, err = d.DialContext(ctx, network, address) }); e != nil {
		return nil, e
	}
	return c, err
}
