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
//
// The thread goes back to where it was, and on: with it would end the programs
// that were started from it.
func (n *Namespace) Do(f func()) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// Where the first thread is, the process is said to be. While this
			// goroutine has it, another one does not get it.
			err := n.Do(f)
			runtime.UnlockOSThread()
			done <- err
			return
		}
		back, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			runtime.UnlockOSThread()
			done <- err
			return
		}
		defer back.Close()
		if err = n.enter(); err == nil {
			f()
			err = setns(back)
		}
		if err == nil {
			runtime.UnlockOSThread()
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
	return setns(ns)
}

// setns moves the calling thread into a namespace.
func setns(ns *os.File) error {
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter %s: %w", ns.Name(), err)
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
