package tap

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/internal/lab"
	"github.com/periscope-collector/periscope/tunnel"
)

// A collector that cannot be reached is in the log, once: nobody has its address, it
// does not listen, the route is gone.
func TestTapSaysThatTheCollectorIsNotReached(t *testing.T) {
	for name, tt := range map[string]struct {
		to   netip.Addr
		lose string // shell of the task, once it mirrors
		want error
	}{
		"nobody":  {netip.MustParseAddr("10.77.0.99"), "", unix.EHOSTUNREACH},
		"deaf":    {peerAddr, "", unix.ECONNREFUSED},
		"noroute": {peerAddr, "ip route replace unreachable 10.77.0.1/32", unix.EHOSTUNREACH},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t)
			if tt.lose != "" {
				w.collector(tt.to) // which refuses nothing meanwhile
			}
			_, j, stop := w.tap(Config{VNI: 77, To: netip.AddrPortFrom(tt.to, tunnel.VXLANPort)})
			c := w.datagrams(5000) // to the collector's host, or another
			if tt.lose != "" {
				w.shell(w.task, tt.lose)
			}
			lab.Eventually(t, "it says so", func() bool {
				c.Write([]byte("x"))
				w.shell(w.peer, "ping -c 1 -W 1 "+taskAddr.String()+" || true")
				return j.count("does not reach the collector") == 1 && j.count(tt.want.Error()) == 1
			})
			stop()
		})
	}
}

// It says so once, and that it is over when nothing was refused for long.
func TestReachIsToldOnce(t *testing.T) {
	j := &journal{}
	tap := &Tap{cfg: Config{Log: j.log()}, out: &outbox{}}
	now := time.Unix(1e9, 0)
	for _, tt := range []struct {
		after          time.Duration
		failed         error
		refused, again int
	}{
		{0, nil, 0, 0},
		{0, unix.EHOSTUNREACH, 1, 0},
		{reached - 1, nil, 1, 0},
		{0, unix.ECONNREFUSED, 1, 0},
		{reached - 1, nil, 1, 0},
		{1, nil, 1, 1},
		{reached, nil, 1, 1},
		{0, unix.EHOSTUNREACH, 2, 1},
	} {
		now = now.Add(tt.after)
		if tt.failed != nil {
			tap.out.reach.failed = tt.failed
		}
		tap.tellReach(now)
		if refused, again := j.count("does not reach"), j.count("not refused any more"); refused != tt.refused || again != tt.again {
			t.Errorf("%+v: said %d and %d times", tt, refused, again)
		}
	}
}
