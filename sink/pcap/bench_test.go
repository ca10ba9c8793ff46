package pcap_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink/pcap"
)

// BenchmarkWrite measures the way from Offer to the kernel's page cache, with
// no frame lost: replay mode, in which a full sink waits.
func BenchmarkWrite(b *testing.B) {
	for _, size := range []int{64, 700, 1450} {
		for _, workers := range []int{1, 2} {
			for _, sessions := range []int{1, 100} {
				b.Run(fmt.Sprintf("%dB/workers=%d/sessions=%d", size, workers, sessions), func(b *testing.B) {
					benchmark(b, size, workers, sessions)
				})
			}
		}
	}
}

// benchDir returns a directory in PCAP_BENCH_DIR, or in /dev/shm.
func benchDir(b *testing.B) string {
	parent := os.Getenv("PCAP_BENCH_DIR")
	if parent == "" {
		parent = "/dev/shm"
	}
	dir, err := os.MkdirTemp(parent, "pcap-bench")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func benchmark(b *testing.B, size, workers, sessions int) {
	s := open(b, pcap.Config{Dir: benchDir(b), Workers: workers, Replay: true, Rotate: pcap.Rotate{Size: 256 << 20}})
	all := make([]*packet.Session, sessions)
	for i := range all {
		all[i] = session(fmt.Sprint("vni-", i))
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	before := cpuTime(b)
	b.ResetTimer()
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			f := frame(all[0], 0, size)
			const batch = 64
			for i := w; i < b.N; {
				for range batch {
					f.Order, f.Time = int64(i), base+int64(i)
					f.Session = all[i/8%sessions]
					s.Offer(w, f)
					i += workers
				}
				s.Mark(w, int64(i), 0)
			}
			s.Mark(w, math.MaxInt64, 0)
		})
	}
	wg.Wait()
	waitFor(b, func() bool { return s.Ledger().Pending == 0 })
	b.StopTimer()
	// On a machine that is not idle this is what compares.
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
	if err := s.Close(context.Background()); err != nil {
		b.Error(err)
	}
	if l := s.Ledger(); l.Imbalance() != 0 || l.Stored != l.Offered {
		b.Errorf("%+v", l)
	}
}

// cpuTime returns the processor time this process has used, in nanoseconds.
func cpuTime(b *testing.B) int64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// BenchmarkLive measures the processor time of frames that come a thousand each
// millisecond, as from a socket, and are written in rounds.
func BenchmarkLive(b *testing.B) {
	for _, sessions := range []int{1, 64, 1000} {
		b.Run(fmt.Sprintf("504B/sessions=%d", sessions), func(b *testing.B) { benchmarkLive(b, 504, sessions) })
	}
}

func benchmarkLive(b *testing.B, size, sessions int) {
	s := open(b, pcap.Config{Dir: benchDir(b), Rotate: pcap.Rotate{Size: 64 << 20}, Retain: pcap.Retain{Size: 1 << 30}})
	all := make([]*packet.Session, sessions)
	for i := range all {
		all[i] = session(fmt.Sprint("vni-", i))
	}
	f := frame(all[0], 0, size)
	b.ReportAllocs()
	before := cpuTime(b)
	b.ResetTimer()
	for i := 0; i < b.N; {
		now := time.Now().UnixNano()
		for batch := 0; batch < 1000 && i < b.N; batch += 50 {
			for range 50 {
				f.Order, f.Time, f.Session = now+int64(batch), now, all[i%sessions]
				s.Offer(0, f)
				i++
			}
			s.Mark(0, now+int64(batch), now)
		}
		time.Sleep(time.Millisecond)
	}
	waitFor(b, func() bool {
		now := time.Now().UnixNano()
		s.Mark(0, now, now)
		return s.Ledger().Pending == 0
	})
	b.StopTimer()
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
	if l := s.Ledger(); l.Stored != l.Offered {
		b.Errorf("%+v", l)
	}
}
