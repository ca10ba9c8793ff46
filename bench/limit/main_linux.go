package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"sync/atomic"
)

const (
	port   = 4789     // VXLAN, RFC 7348
	buffer = 64 << 20 // of a socket or a ring, in bytes
)

// A loop receives until stop is set and nothing is left.
type loop struct {
	iface string
	out   *output // nil discards
	stop  atomic.Bool
	count uint64 // packets received
}

func main() {
	runtime.LockOSThread()
	var l loop
	flag.StringVar(&l.iface, "interface", "", "to receive from, for afpacket and xdp")
	dir := flag.String("write", "", "append frames to files in `DIR`; else they are discarded")
	flag.Parse()
	receive, ok := map[string]func() error{"udp": l.udp, "afpacket": l.afpacket, "xdp": l.xdp}[flag.Arg(0)]
	if !ok || flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: limit [-interface IF] [-write DIR] udp|afpacket|xdp")
		os.Exit(2)
	}
	if l.iface == "" && flag.Arg(0) != "udp" {
		fmt.Fprintf(os.Stderr, "limit: %s: -interface is needed\n", flag.Arg(0))
		os.Exit(2)
	}
	if *dir != "" {
		l.out = &output{dir: *dir}
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	go func() {
		<-interrupted
		l.stop.Store(true)
	}()
	err := receive()
	if err == nil && l.out != nil {
		err = l.out.close()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "limit: %s: %v\n", flag.Arg(0), err)
		os.Exit(1)
	}
	fmt.Printf("%d packets\n", l.count)
}
