package main

import (
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/bench/blast/live"
	"github.com/periscope-collector/periscope/internal/lab"
)

// TestMain lets the test be the receiver it starts.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "receive" {
		runtime.LockOSThread()
		exit(receive(os.Args[2]))
	}
	os.Exit(m.Run())
}

// TestTry sends a paced number of packets to every kind of receiver. Each is
// accounted for, and neither process nor interface is left behind.
func TestTry(t *testing.T) {
	lab.Need(t, "ip", "ethtool")
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			b := blast{rate: 20_000, count: 2001, duration: time.Minute, Config: live.Config{
				MAC: receiverMAC, Source: netip.MustParseAddr(senderAddr), Target: netip.MustParseAddr(receiverAddr),
				VNI: 7, Size: 504, Flows: 10,
			}}
			var r trial
			var err error
			done := make(chan struct{})
			go func() {
				defer close(done)
				runtime.LockOSThread() // never unlocked: the thread ends, and its network with it
				if err = unix.Unshare(unix.CLONE_NEWNET); err == nil {
					r, err = b.try(kind.name)
				}
			}()
			<-done
			if err != nil {
				t.Fatal(err)
			}
			if r.Sent != b.count || r.dropped+r.received != b.count {
				t.Errorf("%d sent, %d dropped, %d received, want %d of it all", r.Sent, r.dropped, r.received, b.count)
			}
		})
	}
	if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != unix.ECHILD {
		t.Errorf("child process %d, %v: want none", pid, err)
	}
	if i, err := net.InterfaceByName("b0"); err == nil {
		t.Errorf("%s is in the test's own namespace", i.Name)
	}
}

// TestNothingSent sends into lo, which takes no live frames.
func TestNothingSent(t *testing.T) {
	lab.Need(t)
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: its processor is set
		b := blast{count: 1, duration: time.Millisecond, Config: live.Config{
			Interface: "lo", Source: netip.MustParseAddr(senderAddr), Target: netip.MustParseAddr(receiverAddr), Size: 504, Flows: 1,
		}}
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		_, err := b.run()
		done <- err
	}()
	if err := <-done; err == nil || !strings.Contains(err.Error(), "interface lo: nothing was sent") {
		t.Errorf("%v, want that nothing was sent", err)
	}
}

func TestDue(t *testing.T) {
	for name, test := range map[string]struct {
		rate    float64
		count   uint64
		elapsed time.Duration
		sent    uint64
		want    uint32
	}{
		"as fast as possible":   {0, 0, 0, 0, burst},
		"up to a count":         {0, 100, 0, 40, 60},
		"count reached":         {0, 100, 0, 100, 0},
		"count beyond a burst":  {0, 100_000, 0, 0, burst},
		"nothing due at first":  {1000, 0, 0, 0, 0},
		"just not due":          {1000, 0, 999 * time.Microsecond, 0, 0},
		"due":                   {1000, 0, time.Millisecond, 0, 1},
		"due and sent":          {1000, 0, time.Millisecond, 1, 0},
		"ahead":                 {1000, 0, time.Millisecond, 5, 0},
		"behind, one burst":     {1e6, 0, time.Second, 0, burst},
		"behind, up to a count": {1e6, 10, time.Second, 4, 6},
	} {
		b := blast{rate: test.rate, count: test.count}
		if got := b.due(test.elapsed, test.sent); got != test.want {
			t.Errorf("%s: %d due, want %d", name, got, test.want)
		}
	}
}
