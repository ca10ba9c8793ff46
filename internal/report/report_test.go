package report_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/periscope-collector/periscope/internal/leak"
	"github.com/periscope-collector/periscope/internal/report"
	"github.com/periscope-collector/periscope/packet"
)

func TestMain(m *testing.M) { leak.Check(m) }

var update = flag.Bool("update", false, "write testdata/blind-spots.txt anew")

const golden = "testdata/blind-spots.txt"

var (
	web = &packet.Session{ID: 1, Name: "web", VNI: 7, Known: true, Workload: packet.Workload{
		VPCCIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")},
	}, Tallies: make([]packet.Tally, 2)}
	vni8 = &packet.Session{ID: 2, Name: "vni-8\x1b[2J", VNI: 8, Tallies: make([]packet.Tally, 2)}
)

func init() {
	web.Tallies[0].NotIP.Store(40)
	web.Tallies[1].NotIP.Store(2)
}

// said is a record of packets of 100 bytes each way.
func said(s *packet.Session, c packet.Class, from, to string, packets uint64) *packet.Flow {
	r := &packet.Flow{Session: s, Class: c}
	for i, text := range []string{from, to} {
		r.Addr[i] = packet.AddrFrom(netip.MustParseAddr(text))
		r.Side[i] = packet.FlowSide{Packets: packets, Bytes: packets * 100}
	}
	r.Shard = r.Addr[0][15] % packet.Shards
	return r
}

// egress says that the initiator is the mirrored interface.
func egress(r *packet.Flow) *packet.Flow {
	r.Side[0].Direction, r.Side[1].Direction = packet.Egress, packet.Ingress
	return r
}

// ingress says that the initiator is the peer, and that nothing answered it.
func ingress(r *packet.Flow) *packet.Flow {
	r.Side[0].Direction, r.Side[1] = packet.Ingress, packet.FlowSide{}
	return r
}

// traffic is batches of records.
func traffic() [][]*packet.Flow {
	first := []*packet.Flow{
		egress(said(web, packet.AmazonDNS, "10.0.1.163", "10.0.0.2", 500)),
		egress(said(web, packet.AmazonDNS, "10.0.1.163", "fd00:ec2::253", 3)),
		egress(said(web, packet.TaskMeta, "10.0.1.163", "169.254.180.2", 4)),
		ingress(said(web, packet.Ordinary, "203.0.113.9", "10.0.1.163", 800_000)),
		said(vni8, packet.OwnDNS, "10.1.0.9", "10.1.0.2", 70),
		said(vni8, packet.DHCP, "0.0.0.0", "255.255.255.255", 1),
		said(vni8, packet.LinkLocal, "::", "ff02::1:ff00:1", 1),
		said(vni8, packet.MirroredVXLAN, "10.1.0.9", "10.1.0.4", 2),
	}
	second := []*packet.Flow{
		said(vni8, packet.OwnDNS, "10.1.0.2", "10.1.0.9", 5), // the other way round
	}
	for i := range 9 {
		peer := fmt.Sprintf("198.51.100.%d", i+1)
		second = append(second, egress(said(web, packet.Ordinary, "10.0.1.163", peer, uint64(i+1)*1000)))
	}
	return [][]*packet.Flow{first, second}
}

// feed gives the report what workers would, the last batch as what is left at
// the end.
func feed(t *testing.T, workers int, batches [][]*packet.Flow) *report.Report {
	t.Helper()
	r := report.New(workers)
	last := len(batches) - 1
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i, batch := range batches[:last] {
				for shard := w; shard < packet.Shards; shard += workers {
					give(r, w, uint8(shard), batch)
				}
				r.Cut(w, packet.Cut{})
				r.Mark(w, 0, int64(i))
			}
		})
	}
	wg.Wait()
	r.Settle(t.Context())
	for shard := range packet.Shards {
		give(r, 0, uint8(shard), batches[last])
	}
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

func give(r *report.Report, worker int, shard uint8, batch []*packet.Flow) {
	for _, f := range batch {
		if f.Shard == shard {
			r.Flow(worker, f)
		}
	}
}

func text(t *testing.T, r *report.Report) string {
	t.Helper()
	var b strings.Builder
	if err := r.Write(&b, []*packet.Session{web, vni8}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	if *update {
		if err := os.WriteFile(golden, []byte(text(t, feed(t, 1, traffic()))), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	for _, workers := range []int{1, 2, 8} {
		r := feed(t, workers, traffic())
		if got := text(t, r); got != string(want) {
			t.Errorf("%d workers: the report is\n%s\nwant\n%s", workers, got, want)
		}
		l := r.Ledger()
		if l.Offered != 18 || l.Stored != 18 || l.Pending != 0 || l.Imbalance() != 0 {
			t.Errorf("%d workers: ledger %+v, want 18 offered and stored", workers, l)
		}
	}
}

// TestScan: of more pairs than are kept, those that said most are found, early
// or late, and the sums are of all.
func TestScan(t *testing.T) {
	const scanned = 30_000
	batches := make([][]*packet.Flow, 31)
	for i := range scanned {
		peer := fmt.Sprintf("198.18.%d.%d", i>>8, i&0xff)
		batches[i/1000] = append(batches[i/1000], egress(said(web, packet.Ordinary, "10.0.1.163", peer, 1)))
	}
	for i, peer := range []string{"203.0.113.1", "203.0.113.2"} {
		at := i * 30
		batches[at] = append(batches[at], egress(said(web, packet.Ordinary, "10.0.1.163", peer, 1000)))
	}
	first := text(t, feed(t, 1, batches))
	for _, want := range []string{
		"\nordinary           64,000  99.9%  6,400,000  100.0%   30,002 ",
		"  web     10.0.1.163 - 203.0.113.1   2,000 packets    200,000 bytes\n" +
			"  web     10.0.1.163 - 203.0.113.2   2,000 packets    200,000 bytes\n",
		"  others                            59,994 packets  5,999,400 bytes\n",
		"- ordinary: more than 8,192 pairs of addresses; ",
	} {
		if !strings.Contains(first, want) {
			t.Errorf("not in the report: %q\n%s", want, first)
		}
	}
	if second := text(t, feed(t, 8, batches)); second != first {
		t.Errorf("8 workers give\n%s\nand 1 gives\n%s", second, first)
	}
}

func TestEmpty(t *testing.T) {
	r := report.New(1)
	r.Settle(t.Context())
	if err := r.Write(nil, nil); err == nil {
		t.Error("an open report can be written, want an error")
	}
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := r.Write(&b, nil); err != nil {
		t.Fatal(err)
	}
	for _, no := range []string{"NaN", "unexpected", "talkers"} {
		if strings.Contains(b.String(), no) {
			t.Errorf("%q in an empty report:\n%s", no, b.String())
		}
	}
}

// TestOne: of one thing the report speaks in the singular, in line with the rest.
func TestOne(t *testing.T) {
	pair := func(peer string, packets, bytes uint64) *packet.Flow {
		f := ingress(said(web, packet.Ordinary, peer, "10.0.1.163", packets))
		f.Side[0].Bytes = bytes
		return f
	}
	var batch []*packet.Flow
	for i := range uint64(5) {
		batch = append(batch, pair(fmt.Sprintf("198.51.100.%d", i+1), 1000, 9000-i))
	}
	batch = append(batch, pair("198.51.100.6", 1, 1))
	one := pair("198.51.100.7", 1, 60)
	one.Class = packet.ExternalNTP
	got := text(t, feed(t, 1, [][]*packet.Flow{append(batch, one)}))
	for _, want := range []string{
		"\nntp_external\n  web  10.0.1.163 - 198.51.100.7  1 packet   60 bytes\n",
		"  web      10.0.1.163 - 198.51.100.5  1,000 packets  8,996 bytes\n" +
			"  1 other                                 1 packet       1 byte\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("not in the report: %q\n%s", want, got)
		}
	}
}

func TestWriteError(t *testing.T) {
	r := feed(t, 1, traffic())
	if err := r.Write(broken{}, nil); !errors.Is(err, errBroken) {
		t.Errorf("error %v, want %v", err, errBroken)
	}
}

func TestCloseGivesUp(t *testing.T) {
	r := report.New(1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100_000 {
		r.Flow(0, said(web, packet.Ordinary, "10.0.1.163", "198.51.100.1", 1))
	}
	// Whether it is done by now or not, it says so, and ends soon.
	if err := r.Close(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("Close = %v, want nothing or that the context is done", err)
	}
	if l := r.Ledger(); l.Offered != 100_000 || l.Imbalance() != 0 {
		t.Errorf("ledger %+v, want a balanced one of 100000", l)
	}
}

var errBroken = errors.New("broken")

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func BenchmarkReport(b *testing.B) {
	records := traffic()[0]
	r := report.New(1)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.Flow(0, records[i%len(records)])
		if i%256 == 0 {
			r.Mark(0, 0, 0)
		}
	}
	r.Close(b.Context())
}
