// Command imix writes the capture file that replay is measured with: VXLAN
// datagrams of many flows and mirror sessions, in pcap with nanoseconds. The
// frames are of 64, 594 and 1,514 bytes, 7 : 4 : 1; 2,000,000 of them take
// about 860 MB. The same flags give the same file.
//
//	go run ./bench/imix FILE
package main

import (
	"bufio"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/tunnel"
)

func main() {
	var r recipe
	flag.IntVar(&r.frames, "frames", 2_000_000, "datagrams in all")
	flag.IntVar(&r.flows, "flows", 50_000, "inner flows, which take turns")
	flag.IntVar(&r.vnis, "vnis", 16, "mirror sessions, each of a source of its own, 1 to 250")
	flag.IntVar(&r.rate, "rate", 100_000, "datagrams a second, by their time stamps")
	flag.Parse()
	if flag.NArg() != 1 || r.frames < 1 || r.flows < 1 || r.vnis < 1 || r.vnis > 250 || r.rate < 1 {
		fmt.Fprintln(os.Stderr, "usage: imix [flags] FILE; numbers are above 0, and -vnis at most 250")
		os.Exit(2)
	}
	if err := r.write(flag.Arg(0)); err != nil {
		fmt.Fprintf(os.Stderr, "imix: %v\n", err)
		os.Exit(1)
	}
}

// A recipe is what a file is made from.
type recipe struct{ frames, flows, vnis, rate int }

// began is the time of the first datagram.
var began = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

var target = netip.AddrPortFrom(netip.MustParseAddr("10.0.9.9"), tunnel.VXLANPort)

func (r *recipe) write(name string) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	defer file.Close()
	w := bufio.NewWriterSize(file, 1<<20)
	w.Write(traffic.AppendPcapHeader(nil, traffic.LinkEthernet)) // errors stick, and Flush returns them
	g := traffic.NewFrames(traffic.FramesConfig{Seed: 1, Flows: r.flows, Size: traffic.IMIX})
	var datagram, outer, record []byte
	for n := range r.frames {
		frame := g.Next()
		session := r.session(n)
		source := netip.AddrFrom4([4]byte{10, 0, 1, byte(1 + session)})
		datagram = traffic.AppendVXLAN(datagram[:0], uint32(1+session), frame)
		outer = traffic.AppendOuter(outer[:0], netip.AddrPortFrom(source, traffic.SourcePort(frame)), target, datagram)
		at := began.UnixNano() + int64(n)*int64(time.Second)/int64(r.rate)
		record = traffic.AppendPcapRecord(record[:0], at, outer, len(outer))
		w.Write(record)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return file.Close()
}

// session returns the mirror session of frame n: always that of its flow, and
// in no order, so that neighbours are of different ones.
func (r *recipe) session(n int) int {
	flow := uint32(n % r.flows)
	return int(uint64(flow*2654435761) * uint64(r.vnis) >> 32)
}
