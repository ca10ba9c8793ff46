package lab_test

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// serveTLS is an HTTPS server with a certificate that nobody signed.
func serveTLS() error {
	listener, err := net.Listen("tcp", ":443")
	if err != nil {
		return err
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(handle))
	s.Listener.Close()
	s.Listener = listener
	s.StartTLS()
	select {}
}

// resetConnection begins to download from the address in the arguments, and
// resets the connection in the middle.
func resetConnection() error {
	c, err := net.Dial("tcp", net.JoinHostPort(os.Args[1], "80"))
	if err != nil {
		return err
	}
	if _, err := io.WriteString(c, "GET /200000 HTTP/1.0\r\n\r\n"); err != nil {
		return err
	}
	if _, err := io.ReadFull(c, make([]byte, 1000)); err != nil {
		return err
	}
	if err := c.(*net.TCPConn).SetLinger(0); err != nil {
		return err
	}
	return c.Close()
}

// scan sends a SYN to an open and to a closed port of the address in the
// arguments, as a port scanner does: since no socket here expects the SYN-ACK,
// the kernel answers it with a RST. It returns when both have answered.
func scan() error {
	target := netip.MustParseAddr(os.Args[1])
	network := "ip4:tcp"
	if target.Is6() {
		network = "ip6:tcp"
	}
	c, err := net.Dial(network, target.String())
	if err != nil {
		return err
	}
	defer c.Close()
	local, _ := netip.AddrFromSlice(c.LocalAddr().(*net.IPAddr).IP)
	for i, port := range []uint16{80, 81} {
		if _, err := c.Write(synSegment(local.Unmap(), target, uint16(61000+i), port)); err != nil {
			return err
		}
	}
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	for answers := 0; answers < 2; {
		b := make([]byte, 1500)
		n, _, err := c.(*net.IPConn).ReadFrom(b) // without the IP header, unlike Read
		if err != nil {
			return err
		}
		if n >= 20 && binary.BigEndian.Uint16(b[2:])/10 == 6100 {
			answers++
		}
	}
	return nil
}

// synSegment returns a SYN without options, checksum and all (RFC 9293).
func synSegment(src, dst netip.Addr, srcPort, dstPort uint16) []byte {
	b := make([]byte, 20)
	binary.BigEndian.PutUint16(b, srcPort)
	binary.BigEndian.PutUint16(b[2:], dstPort)
	b[12], b[13], b[14] = 5<<4, 0x02, 0x04
	sum := uint32(len(b) + syscall.IPPROTO_TCP)
	for _, part := range [][]byte{src.AsSlice(), dst.AsSlice(), b} {
		for i := 0; i < len(part); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(part[i:]))
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(b[16:], ^uint16(sum))
	return b
}

// sendDatagram sends a datagram that takes three fragments to a port where
// nothing listens, and returns when the host has said so.
func sendDatagram() error {
	c, err := net.Dial("udp", net.JoinHostPort(os.Args[1], "9"))
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write(noise(20000)); err != nil {
		return err
	}
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return nil
}
