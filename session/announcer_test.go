package session_test

import (
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
)

// logged returns an announcer and what it logs, without the time.
func logged() (*session.Announcer, *journal) {
	var log journal
	return session.NewAnnouncer(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))), &log
}

// frame returns a frame of n bytes that was length bytes long.
func frame(s *packet.Session, source packet.Addr, n, length int) *packet.Frame {
	return &packet.Frame{Session: s, VNI: s.VNI, Source: source, Data: make([]byte, n), Length: length}
}

func TestAnnouncerSenders(t *testing.T) {
	announcer, log := logged()
	known := &packet.Session{ID: 1, Name: "web", VNI: 7, Known: true, Workload: packet.Workload{AccountID: "111122223333"}}
	unknown := &packet.Session{ID: 2, Name: "vni-8", VNI: 8}
	first, second := addr("10.0.0.1"), addr("fd00::2")
	for range 3 {
		announcer.Saw(frame(known, first, 60, 60))
		announcer.Saw(frame(unknown, first, 60, 60))
		announcer.Saw(frame(known, second, 60, 60))
		announcer.Saw(&packet.Frame{VNI: 9, Source: first, Reason: packet.UnknownSession})
		announcer.Saw(&packet.Frame{VNI: 10, Source: first, Reason: packet.UnknownSession})
		announcer.Saw(&packet.Frame{VNI: 11, Source: first, Reason: packet.UnknownLimit})
		announcer.Saw(&packet.Frame{VNI: 12, Source: first, Reason: packet.UnknownLimit}) // once a sender
		announcer.Saw(&packet.Frame{Source: second, Reason: packet.NotAllowed})
		announcer.Saw(&packet.Frame{Source: second, Reason: packet.VXLANShort})
	}
	want := `level=INFO msg="first frame of a sender" session=web vni=7 source=10.0.0.1 known=true
level=INFO msg="first frame of a sender" session=vni-8 vni=8 source=10.0.0.1 known=false
level=INFO msg="first frame of a sender" session=web vni=7 source=fd00::2 known=true
level=WARN msg="first frame of a sender is not delivered: no session explains its VNI, and sessions.unknown is drop" reason=unknown_session vni=9 source=10.0.0.1
level=WARN msg="first frame of a sender is not delivered: no session explains its VNI, and sessions.unknown is drop" reason=unknown_session vni=10 source=10.0.0.1
level=WARN msg="first frame of a sender is not delivered: no session explains its VNI, and there are sessions.unknown_max unknown ones already" reason=unknown_limit vni=11 source=10.0.0.1
level=WARN msg="first frame of a sender is not delivered: capture.allow does not admit its address" reason=not_allowed vni=0 source=fd00::2
`
	if log.String() != want {
		t.Errorf("logged\n%swant\n%s", log, want)
	}
}

func TestAnnouncerTruncation(t *testing.T) {
	target := "the target's MTU of 9,001: the source's MTU must be at most 8,947"
	path := "the target's or the path's MTU of 1,500: raise it to 9,001"
	gateway := "a Gateway Load Balancer endpoint takes packets of 8,446 bytes (IPv4) or 8,426 (IPv6) at most"
	other := "a packet length set on the mirror session, or the snap length of a capture file"
	tests := []struct {
		name         string
		packetLength int
		bytes        int
		want         string
	}{
		{"the session's packet length", 100, 100, "the session's packet length of 100 bytes"},
		{"not the session's packet length", 100, 99, other},
		{"the session's packet length is the target's limit", 8500, 8500, "the session's packet length of 8500 bytes"},
		{"below the path's MTU", 0, 1439, other},
		{"path's MTU, least", 0, 1440, path},
		{"path's MTU, most", 0, 1464, path},
		{"above the path's MTU", 0, 1465, other},
		{"Gateway Load Balancer, IPv6", 0, 8426, gateway},
		{"Gateway Load Balancer, IPv6 and Ethernet", 0, 8440, gateway},
		{"Gateway Load Balancer, IPv4", 0, 8446, gateway},
		{"Gateway Load Balancer, IPv4 and Ethernet", 0, 8460, gateway},
		{"below the Network Load Balancer's", 0, 8499, other},
		{"Network Load Balancer", 0, 8500, "a Network Load Balancer target takes 8,500 bytes at most"},
		{"above the Network Load Balancer's", 0, 8501, other},
		{"below the target's MTU", 0, 8940, other},
		{"target's MTU, least", 0, 8941, target},
		{"target's MTU, 54 bytes less", 0, 8947, target},
		{"target's MTU, most", 0, 8965, target},
		{"above the target's MTU", 0, 8966, other},
		{"the collector's buffer", 0, 9208, "the collector takes datagrams of 9,216 bytes at most"},
		{"a snap length", 0, 96, other},
		{"nothing left", 0, 0, other},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			announcer, log := logged()
			s := &packet.Session{ID: 1, Name: "web", VNI: 7, Workload: packet.Workload{PacketLength: tt.packetLength}}
			for range 2 {
				announcer.Saw(frame(s, addr("10.0.0.1"), 9300, 9300))
				announcer.Saw(frame(s, addr("10.0.0.1"), tt.bytes, 9300))
				announcer.Saw(frame(s, addr("10.0.0.2"), 50, 9300)) // of the same session
			}
			if n := strings.Count(log.String(), "truncated"); n != 1 {
				t.Errorf("logged %d times:\n%s", n, log)
			}
			if !strings.Contains(log.String(), " of=9300 likely_cause=\""+tt.want+"\"\n") {
				t.Errorf("want the cause %q, logged\n%s", tt.want, log)
			}
		})
	}
}

func TestAnnouncerIsBounded(t *testing.T) {
	announcer, log := logged()
	saw := func(id uint32) { announcer.Saw(frame(&packet.Session{ID: id, VNI: id}, addr("10.0.0.1"), 1, 2)) }
	count := func() [3]int {
		return [3]int{strings.Count(log.String(), "first frame"), strings.Count(log.String(), "first truncated"),
			strings.Count(log.String(), "not announced")}
	}
	for id := uint32(1); id <= 4096; id++ { // up to the limit
		saw(id)
	}
	if got := count(); got != [3]int{4096, 4096, 0} {
		t.Errorf("at the limit: %v", got)
	}
	saw(1)
	if got := count(); got != [3]int{4096, 4096, 0} {
		t.Errorf("one again: %v", got)
	}
	for id := uint32(4097); id <= 10_000; id++ { // beyond
		saw(id)
	}
	if got := count(); got != [3]int{4096, 4096, 2} {
		t.Errorf("beyond the limit: %v", got)
	}
}

func TestAnnouncerAllocatesNothing(t *testing.T) {
	announcer, _ := logged()
	var frames []*packet.Frame
	for id := range uint32(1000) {
		frames = append(frames, frame(&packet.Session{ID: id + 1, VNI: id}, addr("10.0.0.1"), 1, 2))
	}
	all := func() {
		for _, f := range frames {
			announcer.Saw(f)
		}
	}
	all()
	if n := testing.AllocsPerRun(10, all); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestAnnouncerConcurrently(t *testing.T) {
	announcer, log := logged()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for id := range uint32(6000) {
				announcer.Saw(frame(&packet.Session{ID: id + 1, VNI: id}, addr("10.0.0.1"), 1, 1))
			}
		})
	}
	wg.Wait()
	if n := strings.Count(log.String(), "first frame"); n != 4096 {
		t.Errorf("%d announced, want 4096", n)
	}
	lines := strings.Split(log.String(), "\n")
	seen := make(map[string]bool)
	for _, l := range lines {
		if seen[l] {
			t.Errorf("announced twice: %s", l)
		}
		seen[l] = true
	}
}
