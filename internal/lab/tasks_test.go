package lab_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/lab"
	"github.com/periscope-collector/periscope/tunnel"
)

// TestTasks says that what a task sends and receives is mirrored, from its own
// address, and nothing else; and that the next task may have that address.
func TestTasks(t *testing.T) {
	l := lab.NewTasks(t)
	var socket *net.UDPConn
	var err error
	if e := l.Collector.Do(func() {
		socket, err = net.ListenUDP("udp4", &net.UDPAddr{IP: lab.CollectorAddr.AsSlice(), Port: tunnel.VXLANPort})
	}); e != nil || err != nil {
		t.Fatal(e, err)
	}
	defer socket.Close()
	address := netip.MustParseAddr("10.1.0.7")
	for n, vni := range []uint32{7, 7} {
		task := l.Run(address, vni)
		l.Peer.Run("ping", "-c", "1", "-W", "5", address.String())
		for i := range 2 {
			b := make([]byte, 9000)
			if err := socket.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			size, from, err := socket.ReadFromUDPAddrPort(b)
			if err != nil {
				t.Fatalf("task %d, datagram %d: %v", n, i, err)
			}
			v, frame, fault := tunnel.ParseVXLAN(b[:size])
			own := [6]byte(frame)
			if i == 1 {
				own = [6]byte(frame[6:])
			}
			if fault != tunnel.OK || v.VNI != vni || from.Addr() != address || own != task.MAC {
				t.Errorf("task %d, datagram %d: VNI %d from %s, MAC %x, want %x", n, i, v.VNI, from, own, task.MAC)
			}
		}
		task.Stop()
	}
}
