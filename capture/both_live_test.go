package capture

import (
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/internal/lab"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/tunnel"
)

// both opens rings on far, and sockets for everything else.
func (w *wire) both(workers int, except ...string) (*AFPacket, *UDP, []Source) {
	w.t.Helper()
	a := w.ring(AFPacketConfig{Workers: workers})
	u, _ := listen(w.t, UDPConfig{
		VXLAN:         []netip.AddrPort{netip.MustParseAddrPort("[::]:4789")},
		Workers:       workers,
		ReceiveBuffer: 1 << 20,
		Except:        except,
	})
	return a, u, Both(a.Sources(), u)
}

// address gives both ends of the wire the addresses of outerFrame, and the
// loopback its own.
func (w *wire) address() {
	w.t.Helper()
	ip(w.t, "address", "add", "10.0.0.2/24", "dev", "far")
	ip(w.t, "link", "set", "lo", "up")
	for _, name := range []string{"all", "far"} { // take what comes by the VLAN too
		if err := os.WriteFile("/proc/sys/net/ipv4/conf/"+name+"/rp_filter", []byte("0"), 0); err != nil {
			w.t.Fatal(err)
		}
	}
}

// TestBothTakeEachDatagramOnce sends through the interface that the rings are
// on, through a VLAN on top of it, and through the loopback.
func TestBothTakeEachDatagramOnce(t *testing.T) {
	for _, workers := range []int{1, 2} {
		t.Run("", func(t *testing.T) {
			w := newWire(t)
			w.address()
			except := []string{"far"}
			// Without VLANs in the kernel, the rings alone get what is tagged.
			if out, err := exec.Command("ip", "link", "add", "link", "far", "name", "far.10", "type", "vlan", "id", "10").CombinedOutput(); err != nil {
				t.Logf("no VLAN on top: %s", out)
			} else {
				ip(t, "link", "set", "far.10", "up")
				except = append(except, "far.10")
			}
			_, u, sources := w.both(workers, except...)
			local := dial(t, netip.MustParseAddrPort("127.0.0.1:4789"))

			const n = 100
			payload := make([]byte, 60)
			for i := range byte(n) {
				putFlow(payload, packet.VXLAN, i)
				frame := outerFrame(tunnel.VXLANPort, payload)
				w.send(frame)
				w.send(tagged(frame, 10))
				if _, err := local.Write(payload); err != nil {
					t.Fatal(err)
				}
			}
			got := map[packet.Addr]int{}
			for _, of := range spread(t, sources, 3*n) {
				for _, d := range of {
					got[d.Source]++
				}
			}
			for deadline := time.Now().Add(200 * time.Millisecond); time.Now().Before(deadline); {
				for _, s := range sources {
					b, err := s.Next()
					if err != nil {
						t.Fatal(err)
					}
					for _, d := range b.Datagrams {
						got[d.Source]++
					}
					s.Release(b)
				}
			}
			wire, loopback := packet.AddrFrom4([4]byte{10, 0, 0, 1}), packet.AddrFrom4([4]byte{127, 0, 0, 1})
			if got[wire] != 2*n || got[loopback] != n {
				t.Errorf("%d datagrams of the wire, %d of the loopback, want %d and %d", got[wire], got[loopback], 2*n, n)
			}
			if lost := u.Lost(); lost != 0 {
				t.Errorf("what the sockets refused counts as lost: %d", lost)
			}
		})
	}
}

// tagged puts an 802.1Q tag into a frame.
func tagged(frame []byte, id byte) []byte {
	b := append([]byte{}, frame[:12]...)
	return append(append(b, 0x81, 0, 0, id), frame[12:]...)
}

// TestBothReadOnWhenTheInterfaceGoes removes the interface: the source goes on
// with its sockets, also with what comes in by another of that name.
func TestBothReadOnWhenTheInterfaceGoes(t *testing.T) {
	w := newWire(t)
	w.address()
	a, _, sources := w.both(1, "far")
	payload := make([]byte, 60)
	putFlow(payload, packet.VXLAN, 1)
	w.send(outerFrame(tunnel.VXLANPort, payload))
	ip(t, "link", "delete", "far")
	spread(t, sources, 1) // the ring still has it

	lab.Eventually(t, "the ring has ended", func() bool {
		a.sources[0].nextCheck = 0 // rather than a second later
		b, err := sources[0].Next()
		if err != nil {
			t.Fatal(err)
		}
		sources[0].Release(b)
		return a.sources[0].ended
	})
	again := newPair(t)
	again.address()
	again.send(outerFrame(tunnel.VXLANPort, payload))
	spread(t, sources, 1)
}

func TestBothStopReadsEverything(t *testing.T) {
	w := newWire(t)
	w.address()
	a, u, sources := w.both(1, "far")
	local := dial(t, netip.MustParseAddrPort("127.0.0.1:4789"))
	const n = 300
	payload := make([]byte, 60)
	putFlow(payload, packet.VXLAN, 1)
	for range n {
		w.send(outerFrame(tunnel.VXLANPort, payload))
		if _, err := local.Write(payload); err != nil {
			t.Fatal(err)
		}
	}
	a.Stop()
	u.Stop()
	got := collect(t, sources[0], -1)
	if len(got) != 2*n {
		t.Errorf("%d datagrams, want %d", len(got), 2*n)
	}
	if _, err := sources[0].Next(); err != io.EOF {
		t.Errorf("after the end: %v", err)
	}
}

func TestUDPExceptRefusesAPortThatIsTaken(t *testing.T) {
	newWire(t)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: tunnel.VXLANPort}); err != nil {
		t.Fatal(err)
	}
	_, err = ListenUDP(UDPConfig{
		VXLAN: []netip.AddrPort{netip.MustParseAddrPort("[::]:4789")}, Except: []string{"far"},
		Log: slog.New(slog.DiscardHandler),
	})
	if err == nil || !errors.Is(err, ErrInUse) {
		t.Errorf("%v, want %v", err, ErrInUse)
	}
}
