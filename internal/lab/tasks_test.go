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
		mac := net.HardwareAddr{2, 1, 0, 0, 0, byte(n)}
		task := l.Run(address, mac, vni)
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
			own := net.HardwareAddr(frame[6*i:][:6])
			if fault != tunnel.OK || v.VNI != vni || from.Addr() != address || own.String() != mac.String() {
				t.Errorf("task %d, datagram %d: VNI %d from %s, MAC %s, want %s", n, i, v.VNI, from, own, mac)
			}
		}
		if sent := task.Sent(); sent != 2 {
			t.Errorf("task %d: %d frames mirrored, want 2", n, sent)
		}
		task.Stop()
	}
}
