package spool

import "testing"

func BenchmarkAppend(b *testing.B) {
	s := open(b, Config{Dir: b.TempDir(), Size: 1 << 40})
	event := make([]byte, 600)
	b.SetBytes(600)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if err := s.Append(event); err != nil {
			b.Fatal(err)
		}
		if n++; n%100_000 == 0 { // keep the disk from filling
			b.StopTimer()
			drain(b, s)
			b.StartTimer()
		}
	}
	drain(b, s)
}

// One operation is a batch of 1,000 events of 600 bytes.
func BenchmarkReadCommit(b *testing.B) {
	s := open(b, Config{Dir: b.TempDir(), Size: 1 << 40})
	event := make([]byte, 600)
	for range 50_000 {
		s.Append(event)
	}
	b.SetBytes(600 * 1000)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		batch, err := s.Read(1000, 1<<20)
		if err != nil {
			b.Fatal(err)
		}
		s.Commit(batch)
		if n++; n%40 != 0 {
			continue
		}
		b.StopTimer()
		for range 40_000 {
			s.Append(event)
		}
		b.StartTimer()
	}
}
