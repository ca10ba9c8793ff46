package main

import (
	"fmt"
	"io"
)

// A goal is a figure that is to be reached: at least so much, or at most.
type goal struct {
	what   string
	wanted float64
	most   bool // wanted is the most it may be
	got    func(s *results) (value float64, excused bool)
}

// goals are those of live capture and of replay. Those about memory are in MiB,
// all others are ratios.
var goals = []goal{
	{"afpacket, 504 B: CPU to tcpdump", 0.5, true, cost("periscope afpacket", "tcpdump")},
	{"afpacket, 504 B: CPU to dumpcap", 0.35, true, cost("periscope afpacket", "dumpcap")},
	{"afpacket, 504 B: CPU to its limit loop, writing", 1.35, true, cost("periscope afpacket", "limit afpacket write")},
	{"afpacket, 504 B: rate to tcpdump", 1.3, false, rate(504, "periscope afpacket", "tcpdump")},
	{"afpacket, 504 B: rate to dumpcap", 1.3, false, rate(504, "periscope afpacket", "dumpcap")},
	{"afpacket, 1,450 B: rate to tcpdump", 1.3, false, rate(1450, "periscope afpacket", "tcpdump")},
	{"afpacket, 1,450 B: rate to dumpcap", 1.3, false, rate(1450, "periscope afpacket", "dumpcap")},
	{"afpacket, 8,900 B: rate to tcpdump", 1.3, false, rate(8900, "periscope afpacket", "tcpdump")},
	{"afpacket, 8,900 B: rate to dumpcap", 1.3, false, rate(8900, "periscope afpacket", "dumpcap")},
	{"xdp, 504 B: rate to tcpdump", 3, false, rate(504, "periscope xdp", "tcpdump")},
	{"xdp, 504 B: rate to dumpcap", 3, false, rate(504, "periscope xdp", "dumpcap")},
	{"xdp, 504 B: CPU to tcpdump", 0.4, true, cost("periscope xdp", "tcpdump")},
	{"xdp, 504 B: CPU to netsniff-ng", 0.5, true, cost("periscope xdp", "netsniff-ng")},
	{"xdp, 504 B: CPU to its limit loop, writing", 1.35, true, cost("periscope xdp", "limit xdp write")},
	{"udp, 504 B: CPU to its limit loop, writing", 1.3, true, cost("periscope udp", "limit udp write")},
	{"replay, pcap per session: time to cp", 1.2, true, wall(replayPcap, copyPcap)},
	{"replay, pcap per session: time to editcap", 0.5, true, wall(replayPcap, editcapPcap)},
	{"replay, pcap per session: time to tcpdump", 0.5, true, wall(replayPcap, tcpdumpPcap)},
	{"replay, on disk: time to cp and sync", 1.1, true, wall(replayDisk, copyDisk)},
	{"replay, no output, one worker: time to tcpdump", 0.5, true, wall(replayCount, tcpdumpCount)},
	{"xdp: anonymous memory, MiB", 300, true, anonymousOf("periscope xdp")},
	{"replay: anonymous memory, MiB", 500, true, anonymousOfReplay},
}

// goals writes which were reached, of those that were measured.
func (s *results) goals(w io.Writer) {
	fmt.Fprintln(w)
	row(w, "what", "wanted", "got", "")
	row(w, "---", "---", "---", "---")
	for _, g := range goals {
		value, excused := g.got(s)
		if value == 0 {
			continue
		}
		word, met := "at least", value >= g.wanted || excused
		if g.most {
			word, met = "at most", value <= g.wanted
		}
		verdict := "missed"
		switch {
		case met && excused && value < g.wanted:
			verdict = "the sender's limit"
		case met:
			verdict = "met"
		}
		row(w, g.what, fmt.Sprintf("%s %.4g", word, g.wanted), fmt.Sprintf("%.2f", value), verdict)
	}
}

// cost returns the processor time of a packet, one receiver's to another's.
func cost(a, b string) func(*results) (float64, bool) {
	return func(s *results) (float64, bool) {
		of := s.figures[504]
		return ratio(of[a].cost(), of[b].cost()), false
	}
}

// rate returns the highest rate without loss, one receiver's to another's. It is
// excused if the sender was the limit.
func rate(size int, a, b string) func(*results) (float64, bool) {
	return func(s *results) (float64, bool) {
		of := s.figures[size]
		if of[a] == nil {
			return 0, false
		}
		mine, sender := of[a].rate()
		return ratio(mine, of[b].rateOnly()), sender
	}
}

// wall returns the time one run took to another's.
func wall(a, b string) func(*results) (float64, bool) {
	return func(s *results) (float64, bool) {
		of := make(map[string]float64)
		for _, r := range s.replay {
			of[r.name] = median(r.wall)
		}
		return ratio(of[a], of[b]), false
	}
}

// anonymousOf returns the most anonymous memory a receiver had, with any size.
func anonymousOf(name string) func(*results) (float64, bool) {
	return func(s *results) (most float64, _ bool) {
		for _, of := range s.figures {
			if f := of[name]; f != nil {
				most = max(most, float64(f.anon)/(1<<20))
			}
		}
		return most, false
	}
}

func anonymousOfReplay(s *results) (float64, bool) {
	for _, r := range s.replay {
		if r.name == replayPcap {
			return float64(r.anon) / (1 << 20), false
		}
	}
	return 0, false
}

// ratio returns 0 if one of them was not measured.
func ratio(a, b float64) float64 {
	if a == 0 || b == 0 {
		return 0
	}
	return a / b
}
