package main

import (
	"bufio"
	"errors"
	"flag"
	"net/netip"
	"os"
	"time"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/tunnel"
)

// began is the time of the first frame: the same file each time.
var began = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// A recipe is what a file is made from.
type recipe struct {
	traffic.ConversationsConfig
	rate int // frames a second
	vni  uint
}

// gen writes a pcap file of conversations: bare frames or, with -vni, the
// datagrams that mirror them.
func gen(args []string) error {
	var r recipe
	flags := flag.NewFlagSet("gen", flag.ExitOnError)
	flags.IntVar(&r.Frames, "frames", 2_000_000, "frames in all")
	flags.IntVar(&r.Flows, "flows", 50_000, "conversations, all open at once")
	flags.IntVar(&r.Payload, "payload", 536, "most bytes of a segment or datagram")
	flags.Uint64Var(&r.Seed, "seed", 1, "of addresses, sizes and order")
	flags.IntVar(&r.rate, "rate", 20_000, "frames a second, by their time stamps")
	flags.UintVar(&r.vni, "vni", 0, "mirror in VXLAN with this VNI (default bare frames)")
	flags.Parse(args)
	if flags.NArg() != 1 || r.rate <= 0 {
		return errors.New("want one file to write, and a rate above 0")
	}
	return r.write(flags.Arg(0))
}

// ends are the outer addresses of datagrams.
var ends = [2]netip.AddrPort{
	netip.MustParseAddrPort("10.0.1.23:65500"),
	netip.AddrPortFrom(netip.MustParseAddr("10.0.9.9"), tunnel.VXLANPort),
}

func (r *recipe) write(name string) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	defer file.Close()
	w := bufio.NewWriterSize(file, 1<<20)
	w.Write(traffic.AppendPcapHeader(nil, traffic.LinkEthernet)) // errors stick, and Flush returns them
	g := traffic.NewConversations(r.ConversationsConfig)
	var datagram, record []byte
	for n := int64(0); ; n++ {
		frame := g.Next()
		if frame == nil {
			break
		}
		if r.vni != 0 {
			datagram = traffic.AppendVXLAN(datagram[:0], uint32(r.vni), frame)
			frame = traffic.AppendOuter(nil, ends[0], ends[1], datagram)
		}
		at := began.UnixNano() + n*int64(time.Second)/int64(r.rate)
		record = traffic.AppendPcapRecord(record[:0], at, frame, len(frame))
		w.Write(record)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return file.Close()
}
