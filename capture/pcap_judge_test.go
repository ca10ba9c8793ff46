package capture

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
)

// randomSamples returns n packets of up to 2,000 bytes.
func randomSamples(r *rand.Rand, n int) (all []sample) {
	for range n {
		data := make([]byte, r.IntN(2000))
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		all = append(all, sample{data, len(data) + r.IntN(2)*r.IntN(10_000), r.Int64N(late)})
	}
	return all
}

// judge reads a file with gopacket's readers.
func judge(t *testing.T, file []byte) (all []got) {
	t.Helper()
	var read func() ([]byte, gopacket.CaptureInfo, error)
	var linkType layers.LinkType
	if ng, err := pcapgo.NewNgReader(bytes.NewReader(file), pcapgo.NgReaderOptions{WantMixedLinkType: true}); err == nil {
		read = ng.ReadPacketData
	} else {
		r, err := pcapgo.NewReader(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		read, linkType = r.ReadPacketData, r.LinkType()
	}
	for {
		data, info, err := read()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		l := linkType
		if len(info.AncillaryData) > 0 {
			l = info.AncillaryData[0].(layers.LinkType)
		}
		all = append(all, got{string(data), info.Length, info.Timestamp.UnixNano(), linkOf(uint32(l))})
	}
}

func agree(t *testing.T, file []byte, packets int) {
	t.Helper()
	ours, err := records(bytes.NewReader(file), make([]byte, windowLen))
	if err != nil {
		t.Fatal(err)
	}
	if theirs := judge(t, file); len(ours) != packets || !slices.Equal(ours, theirs) {
		t.Errorf("%d packets, gopacket read %d of %d, or they differ", len(ours), len(theirs), packets)
	}
}

// The judge reads what we write as we do, of every kind it knows.
func TestAgreeWithGopacket(t *testing.T) {
	const n = 2000 // more than fit into the window
	r := rand.New(rand.NewPCG(1, 2))
	all := randomSamples(r, n)
	for _, order := range []appendOrder{little, big} {
		for _, nano := range []bool{false, true} {
			t.Run(fmt.Sprintf("pcap/%v/nano %v", order, nano), func(t *testing.T) {
				agree(t, pcapFile(order, nano, 101, all...).b, n)
			})
		}
		t.Run("pcapng/"+order.String(), func(t *testing.T) {
			f := ngFile(order)
			// Of finer powers of two gopacket loses up to 1 µs.
			for _, resolution := range []byte{0, 3, 6, 9, 0x80, 0x89} {
				f.iface(uint16(1+r.IntN(2)*112), 0, option{optionResolution, []byte{resolution}})
			}
			f.iface(1, 0)
			for _, s := range all {
				switch id := r.Uint32N(7); r.IntN(10) {
				case 0:
					f.block(5, func() { f.u32(id, 0, 0) })
					f.enhanced(6, uint64(s.time/1000), s)
				case 1:
					f.enhanced(4, uint64(s.time/1e9), s)
				case 2:
					f.enhanced(5, uint64(s.time/1e9)<<9|r.Uint64N(1<<9), s)
				case 3:
					f.enhanced(1, uint64(s.time/1e6), s)
				default:
					f.enhanced(3, uint64(s.time), s)
				}
			}
			agree(t, f.b, n)
		})
	}
}

// What gopacket writes is read as it was written.
func TestReadWhatGopacketWrites(t *testing.T) {
	all := randomSamples(rand.New(rand.NewPCG(3, 4)), 500)
	var classic, ng bytes.Buffer
	p := pcapgo.NewWriterNanos(&classic)
	if err := p.WriteFileHeader(65535, layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	n, err := pcapgo.NewNgWriter(&ng, layers.LinkTypeEthernet)
	if err != nil {
		t.Fatal(err)
	}
	var want []got
	for _, s := range all {
		info := gopacket.CaptureInfo{Timestamp: time.Unix(0, s.time), CaptureLength: len(s.data), Length: s.wire}
		if err := p.WritePacket(info, s.data); err != nil {
			t.Fatal(err)
		}
		if err := n.WritePacket(info, s.data); err != nil {
			t.Fatal(err)
		}
		want = append(want, got{string(s.data), s.wire, s.time, ethernet})
	}
	if err := n.Flush(); err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string][]byte{"pcap": classic.Bytes(), "pcapng": ng.Bytes()} {
		if ours, err := records(bytes.NewReader(file), make([]byte, windowLen)); err != nil || !slices.Equal(ours, want) {
			t.Errorf("%s: %d packets, %v; want %d", name, len(ours), err, len(want))
		}
	}
}
