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
// address, while it is and with the VNI of that time, and nothing else; and that
// the next task may have that address.
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
	for n := range 2 {
		mac := net.HardwareAddr{2, 1, 0, 0, 0, byte(n)}
		task := l.Run(address, mac)
		for _, vni := range []uint32{7, 0, 7, 8} {
			switched := task.Unmirror
			if vni != 0 {
				switched = func() error { return task.Mirror(vni) }
			}
			for range 2 { // the second time changes nothing
				if err := switched(); err != nil {
					t.Fatal(err)
				}
			}
			l.Peer.Run("ping", "-c", "1", "-W", "60", address.String())
			for i := range 2 {
				if vni != 0 {
					hear(t, socket, vni, address, mac, i)
				}
			}
		}
		if sent, err := task.Sent(); sent != 6 || err != nil {
			t.Errorf("task %d: %d frames mirrored, want 6: %v", n, sent, err)
		}
		if sent := task.Stop(); sent != 6 {
			t.Errorf("task %d: %d frames mirrored in the end, want 6", n, sent)
		}
		if err := task.Mirror(9); err != nil {
			t.Errorf("a task that has ended: %v", err)
		}
	}
	if err := socket.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if n, _, err := socket.ReadFromUDPAddrPort(make([]byte, 9000)); err == nil {
		t.Errorf("%d bytes more than was said while mirrored", n)
	}
}

// hear reads one datagram, which must have a frame of the task: to it if i is 0,
// from it if i is 1.
func hear(t *testing.T, socket *net.UDPConn, vni uint32, address netip.Addr, mac net.HardwareAddr, i int) {
	t.Helper()
	if err := socket.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 9000)
	size, from, err := socket.ReadFromUDPAddrPort(b)
	if err != nil {
		t.Fatalf("VNI %d, datagram %d: %v", vni, i, err)
	}
	v, frame, fault := tunnel.ParseVXLAN(b[:size])
	own := net.HardwareAddr(frame[6*i:][:6])
	if fault != tunnel.OK || v.VNI != vni || from.Addr() != address || own.String() != mac.String() {
		t.Errorf("datagram %d: VNI %d from %s, MAC %s, want %d, %s", i, v.VNI, from, own, vni, mac)
	}
}
