package bench

import (
	"runtime"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/decode"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/tunnel"
)

// BenchmarkDecode reads a batch of datagrams from the VXLAN header to the TCP
// header: with ours, which sets every field of packet.Header, and with both
// decoders of gopacket, of which the fields are not even looked at. An op is a
// batch. The rows of ratios have ours and the other one in turn, so that what else
// the machine does meets both alike; x is how often ours is done in the time of
// the other.
func BenchmarkDecode(b *testing.B) {
	batch := tcpPayloads(504)
	ours, parser, whole := oursDecode(b, batch), parserDecode(b, batch), packetDecode(b, batch)
	b.Run("periscope", func(b *testing.B) { decodeAlone(b, ours) })
	b.Run("layerparser", func(b *testing.B) { decodeAlone(b, parser) })
	b.Run("newpacket", func(b *testing.B) { decodeAlone(b, whole) })
	b.Run("layerparser/ratio", func(b *testing.B) { decodeInTurn(b, ours, parser) })
	b.Run("newpacket/ratio", func(b *testing.B) { decodeInTurn(b, ours, whole) })
}

// tcpPayloads returns one batch of UDP payloads: VXLAN around frames of TCP over
// IPv4, each of another flow.
func tcpPayloads(size traffic.Size) [][]byte {
	frames := traffic.NewFrames(traffic.FramesConfig{Seed: 1, Flows: 1000, Size: size})
	var all [][]byte
	for len(all) < batchLen {
		f := packet.Frame{Data: frames.Next()}
		decode.Decode(&f)
		if f.Header.Version == 4 && f.Header.Protocol == packet.ProtocolTCP {
			all = append(all, append(tunnel.AppendVXLAN(nil, 7), f.Data...))
		}
	}
	return all
}

func oursDecode(b *testing.B, batch [][]byte) func() {
	all := make([]packet.Frame, len(batch))
	read := func() {
		for i, payload := range batch {
			f := &all[i]
			v, data, fault := tunnel.ParseVXLAN(payload)
			if fault != tunnel.OK {
				b.Fatal(fault)
			}
			f.VNI, f.Reserved, f.Data, f.Length = v.VNI, v.Reserved, data, len(data)
			decode.Decode(f)
		}
	}
	read()
	for i := range all {
		if h := &all[i].Header; h.Anomaly != packet.NoAnomaly || h.Transport == 0 || all[i].VNI != 7 {
			b.Fatalf("%+v", all[i])
		}
	}
	return read
}

// parserDecode is gopacket at its fastest that outlives hostile bytes: no layer
// but those that are there, a container without maps, and its own recovery from
// panics.
func parserDecode(b *testing.B, batch [][]byte) func() {
	var vxlan layers.VXLAN
	var eth layers.Ethernet
	var ip layers.IPv4
	var tcp layers.TCP
	p := gopacket.NewDecodingLayerParser(layers.LayerTypeVXLAN)
	p.SetDecodingLayerContainer(gopacket.DecodingLayerSparse(nil))
	for _, l := range []gopacket.DecodingLayer{&vxlan, &eth, &ip, &tcp} {
		p.AddDecodingLayer(l)
	}
	p.IgnoreUnsupported = true // what TCP carries
	var decoded []gopacket.LayerType
	return func() {
		for _, payload := range batch {
			if err := p.DecodeLayers(payload, &decoded); err != nil || len(decoded) != 4 {
				b.Fatal(decoded, err)
			}
		}
	}
}

func packetDecode(b *testing.B, batch [][]byte) func() {
	return func() {
		for _, payload := range batch {
			if p := gopacket.NewPacket(payload, layers.LayerTypeVXLAN, gopacket.Default); p.TransportLayer() == nil {
				b.Fatal(p)
			}
		}
	}
}

func decodeAlone(b *testing.B, read func()) {
	b.ReportAllocs()
	for b.Loop() {
		read()
	}
	b.ReportMetric(perPacket(b.Elapsed(), b.N), "ns/packet")
}

func decodeInTurn(b *testing.B, ours, other func()) {
	const turn = 1000 // batches: many times what reading the clock takes
	var took, others time.Duration
	for b.Loop() {
		runtime.GC() // what the other one left behind is not ours to collect
		began := time.Now()
		for range turn {
			ours()
		}
		next := time.Now()
		for range turn {
			other()
		}
		took += next.Sub(began)
		others += time.Since(next)
	}
	b.ReportMetric(perPacket(took, turn*b.N), "ns/packet")
	b.ReportMetric(float64(others)/float64(took), "x")
}

// perPacket returns the nanoseconds a packet takes of n batches.
func perPacket(d time.Duration, n int) float64 { return float64(d) / float64(n*batchLen) }
