package bench

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
)

// output is a pcapgo writer over 1 MiB of buffer, to a file that starts anew
// every 64 MiB.
type output struct {
	b      *testing.B
	file   *os.File
	buffer *bufio.Writer
	writer *pcapgo.Writer
	bytes  int
}

func newOutput(b *testing.B) *output {
	f, err := os.Create(filepath.Join(tmpfs(b), "out.pcap"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	o := &output{b: b, file: f, buffer: bufio.NewWriterSize(f, 1<<20)}
	o.writer = pcapgo.NewWriterNanos(o.buffer)
	return o
}

func (o *output) write(at time.Time, frame []byte) {
	if o.bytes += len(frame); o.bytes > 64<<20 {
		o.buffer.Flush()
		o.file.Seek(0, io.SeekStart)
		o.file.Truncate(0)
		o.bytes = 0
	}
	if err := o.writer.WritePacket(gopacket.CaptureInfo{Timestamp: at, CaptureLength: len(frame), Length: len(frame)}, frame); err != nil {
		o.b.Fatal(err)
	}
}

func layerParser(b *testing.B, t load) {
	var vxlan layers.VXLAN
	var eth layers.Ethernet
	var tag layers.Dot1Q
	var ip4 layers.IPv4
	var ip6 layers.IPv6
	var tcp layers.TCP
	var udp layers.UDP
	var icmp4 layers.ICMPv4
	var icmp6 layers.ICMPv6
	parser := gopacket.NewDecodingLayerParser(layers.LayerTypeVXLAN)
	parser.SetDecodingLayerContainer(gopacket.DecodingLayerSparse(nil))
	for _, l := range []gopacket.DecodingLayer{&vxlan, &eth, &tag, &ip4, &ip6, &tcp, &udp, &icmp4, &icmp6} {
		parser.AddDecodingLayer(l)
	}
	parser.IgnoreUnsupported = true
	var decoded []gopacket.LayerType
	withGopacket(b, t, func(payload []byte) *layers.VXLAN {
		parser.DecodeLayers(payload, &decoded)
		return &vxlan
	})
}

func newPacket(b *testing.B, t load) {
	withGopacket(b, t, func(payload []byte) *layers.VXLAN {
		p := gopacket.NewPacket(payload, layers.LayerTypeVXLAN, gopacket.DecodeOptions{NoCopy: true})
		return p.Layer(layers.LayerTypeVXLAN).(*layers.VXLAN)
	})
}

// withGopacket decodes each datagram, counts it by VNI and writes its frame.
func withGopacket(b *testing.B, t load, decode func(payload []byte) *layers.VXLAN) {
	out := newOutput(b)
	counts := make(map[uint32]int)
	source := newSource(b, t)
	defer source.stop()
	for {
		got, err := source.Next()
		if err != nil {
			break
		}
		for i := range got.Datagrams {
			d := &got.Datagrams[i]
			vxlan := decode(d.Buf[d.Off:])
			counts[vxlan.VNI]++
			out.write(time.Unix(0, d.Time), vxlan.Payload)
		}
	}
}
