// Command blast sends mirrored traffic at millions of packets a second: with
// -interface, into one end of a veth pair that is there, and prints what it sent
// as JSON; else between two networks of its own, to find out how fast it is. The
// latter go with the processes; nothing of the machine's own is used or changed.
//
//	go run ./bench/blast
//	ip netns exec mirror blast -interface b0 -mac 02:00:00:00:00:02 -rate 500000
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/bench/blast/live"
)

// A blast is what is sent, how fast and for how long.
type blast struct {
	live.Config
	rate     float64 // packets a second; 0 is as fast as possible
	duration time.Duration
	count    uint64 // ends it earlier; 0 does not
	cpu      int    // to send from
}

func main() {
	// The namespace and the processor are those of a thread.
	runtime.LockOSThread()
	if len(os.Args) == 3 && os.Args[1] == "receive" {
		exit(receive(os.Args[2]))
	}
	b := blast{Config: live.Config{
		MAC: receiverMAC, Source: netip.MustParseAddr(senderAddr), Target: netip.MustParseAddr(receiverAddr),
	}}
	var vni uint
	flag.StringVar(&b.Interface, "interface", "", "send into this end of a veth pair; empty measures. The other end\n"+
		"needs GRO, by ethtool -K IF gro on when both are up, or an XDP program: without,\n"+
		"the kernel drops frames of up to "+strconv.Itoa(live.MaxLive)+" bytes, and they count as sent")
	flag.Func("mac", "of the other end", func(s string) error {
		mac, err := net.ParseMAC(s)
		if err == nil && len(mac) != 6 {
			err = fmt.Errorf("%s: want 6 bytes", s)
		}
		copy(b.MAC[:], mac)
		return err
	})
	flag.TextVar(&b.Source, "source", b.Source, "outer source address")
	flag.TextVar(&b.Target, "target", b.Target, "outer destination address")
	flag.UintVar(&vni, "vni", 7, "virtual network identifier")
	flag.IntVar(&b.Size, "size", 504, fmt.Sprintf("bytes of an inner frame, %d to %d", live.MinSize, live.MaxSize))
	flag.IntVar(&b.Flows, "flows", 10_000, fmt.Sprintf("inner flows, 1 to %d", live.MaxFlows))
	flag.Float64Var(&b.rate, "rate", 0, "packets a second; 0 is as fast as possible")
	flag.DurationVar(&b.duration, "duration", time.Second, "how long to send")
	flag.Uint64Var(&b.count, "count", 0, "packets to send at most; 0 is no limit")
	flag.IntVar(&b.cpu, "cpu", 0, "processor to send from; measuring, the next one receives")
	flag.Parse()
	b.VNI = uint32(vni)
	if b.Interface == "" {
		exit(b.measure())
	}
	r, err := b.run()
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(r)
	}
	exit(err)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "blast:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// pin keeps the calling thread on one processor.
func pin(cpu int) error {
	var set unix.CPUSet
	set.Set(cpu % runtime.NumCPU())
	return unix.SchedSetaffinity(0, &set)
}

// A result is what a blast was. CPU is the sending thread's, in seconds; the
// kernel's receiving side may run in it, up to the socket.
type result struct {
	Sent    uint64  `json:"sent"`
	Seconds float64 `json:"seconds"`
	CPU     float64 `json:"cpu_seconds"`
}

// run sends. That nothing was sent is an error.
func (b *blast) run() (r result, err error) {
	if err := pin(b.cpu); err != nil {
		return r, err
	}
	s, err := live.Open(b.Config)
	if err != nil {
		return r, err
	}
	defer s.Close()
	start, cpu := time.Now(), threadTime()
	for elapsed := time.Duration(0); elapsed < b.duration && (b.count == 0 || r.Sent < b.count); elapsed = time.Since(start) {
		n := b.due(elapsed, r.Sent)
		if err := s.Send(n); err != nil {
			return r, err
		}
		if r.Sent, err = s.Sent(); err != nil {
			return r, err
		}
		if b.rate > 0 && n < burst {
			time.Sleep(tick)
		}
	}
	if r.Sent == 0 {
		return r, fmt.Errorf("interface %s: nothing was sent in %v; it must be one end of a veth pair, and -rate and -duration make a packet or more", b.Interface, b.duration)
	}
	r.Seconds, r.CPU = time.Since(start).Seconds(), (threadTime() - cpu).Seconds()
	return r, nil
}

// threadTime returns the calling thread's processor time.
func threadTime() time.Duration {
	var t unix.Timespec
	unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) // cannot fail with this clock
	return time.Duration(t.Nano())
}

const (
	// tick is how long a paced blast waits between calls, which cost 20 us each.
	tick = 200 * time.Microsecond

	// burst bounds one call, and so how late a blast ends: some 50 ms of jumbo
	// frames.
	burst = 1 << 14
)

// due returns how many packets to send now.
func (b *blast) due(elapsed time.Duration, sent uint64) uint32 {
	n := uint64(burst)
	if b.rate > 0 {
		should := uint64(b.rate * elapsed.Seconds())
		n = min(n, should-min(should, sent))
	}
	if b.count > 0 {
		n = min(n, b.count-sent)
	}
	return uint32(n)
}
