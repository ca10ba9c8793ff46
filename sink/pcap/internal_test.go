package pcap

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/periscope-collector/periscope/packet"
)

func TestEscape(t *testing.T) {
	tests := []struct{ name, want string }{
		{"web-1_a.b", "web-1_a.b"},
		{"", "%"},
		{".", "%2E"},
		{"..", "%2E%2E"},
		{"..a.b", "%2E%2Ea.b"},
		{"a/b", "a%2Fb"},
		{"../../etc", "%2E%2E%2F..%2Fetc"},
		{"a b%c", "a%20b%25c"},
		{"naïve\x00", "na%C3%AFve%00"},
		{strings.Repeat("x", 200), strings.Repeat("x", 200)},
	}
	for _, tt := range tests {
		if got := escape(tt.name); got != tt.want {
			t.Errorf("escape(%q) = %q, want %q", tt.name, got, tt.want)
		}
	}
	a, b := escape(strings.Repeat("x", 201)), escape(strings.Repeat("x", 202))
	if a == b || len(a) != maxName || len(b) != maxName {
		t.Errorf("long names: %q, %q", a, b)
	}
}

func FuzzName(f *testing.F) {
	f.Add("web", "..", int64(0), uint64(1))
	f.Add("a/b", "a%2Fb", int64(1773500966535000000), uint64(999_999))
	f.Add(strings.Repeat("é", 100), strings.Repeat("é", 99)+"è", int64(-1), uint64(1_000_000))
	f.Fuzz(func(t *testing.T, a, b string, ns int64, sequence uint64) {
		ea, eb := escape(a), escape(b)
		if (a == b) != (ea == eb) {
			t.Errorf("%q and %q become %q and %q", a, b, ea, eb)
		}
		if ea == "" || len(ea) > maxName || ea[0] == '.' || strings.ContainsAny(ea, "/\x00") {
			t.Errorf("%q is not the name of a directory", ea)
		}
		sequence %= 1e18
		first, n, rest, ok := parseName(ea, fileName(ea, ns, sequence)+partialSuffix)
		if !ok || n != sequence || rest != suffix+partialSuffix || !first.Equal(time.Unix(0, ns).Truncate(time.Millisecond)) {
			t.Errorf("%s: %v %d %q %v", fileName(ea, ns, sequence), first, n, rest, ok)
		}
		parseName(a, b) // any bytes
	})
}

// Each worker is held up by the lowest mark of the others in replay, and by the
// lowest of all live.
func TestLimits(t *testing.T) {
	const far = math.MaxInt64
	tests := []struct {
		name   string
		replay bool
		marks  []int64
		want   []limit
	}{
		{"one worker waits for nobody", true, []int64{5}, []limit{{far, math.MaxInt}}},
		{"the first is lowest", true, []int64{5, 9, 7}, []limit{{7, 2}, {5, 0}, {5, 0}}},
		{"the second is lowest", true, []int64{9, 5, 7}, []limit{{5, 1}, {7, 2}, {5, 1}}},
		{"the last is lowest", true, []int64{9, 7, 5}, []limit{{5, 2}, {5, 2}, {7, 1}}},
		{"equal marks go by worker", true, []int64{5, 5}, []limit{{5, 1}, {5, 0}}},
		{"nobody has spoken", true, []int64{math.MinInt64, math.MinInt64}, []limit{{math.MinInt64, 1}, {math.MinInt64, 0}}},
		{"live, the lowest of all", false, []int64{1e18 + 9, 1e18 + 5}, []limit{{1e18 + 5, -1}, {1e18 + 5, -1}}},
		{"live, the clock does not matter", false, []int64{1e18 + 9, 5}, []limit{{5, -1}, {5, -1}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := len(tt.marks)
			w := &writer{sink: &Sink{workers: make([]worker, n)}, replay: tt.replay, now: time.Unix(1e9, 0),
				limits: make([]limit, n)}
			for i, m := range tt.marks {
				w.sink.workers[i].mark = m
			}
			if w.setLimits(false); !slices.Equal(w.limits, tt.want) {
				t.Errorf("limits %v, want %v", w.limits, tt.want)
			}
			w.setLimits(true)
			for i, l := range w.limits {
				if !l.allows(far, i) {
					t.Errorf("at the end worker %d is held up by %v", i, l)
				}
			}
		})
	}
}

// A number that was not used is given back if it is the last that was taken.
func TestGiveBack(t *testing.T) {
	var s series
	s.giveBack(0)
	one, two := s.next(), s.next()
	s.giveBack(one)
	if s.last != 2 {
		t.Errorf("the last is %d", s.last)
	}
	s.giveBack(two)
	s.giveBack(0)
	if n := s.next(); one != 1 || two != 2 || n != 2 {
		t.Errorf("numbers %d, %d, then %d", one, two, n)
	}
}

// The writer holds nothing of sessions that ended, whatever they became.
func TestNothingIsHeldOfEndedSessions(t *testing.T) {
	for group := range numGroups {
		c := Config{Dir: t.TempDir(), Group: group}
		if err := c.setDefaults(); err != nil {
			t.Fatal(err)
		}
		w := newWriter(newSink(&c), &c, nil, nil)
		w.rotate = new(Rotate)
		var all []*packet.Session
		add := func(id uint32, source byte, service string) *packet.Session {
			s := &packet.Session{ID: id, VNI: 7, Source: packet.AddrFrom4([4]byte{10, 0, 0, source}), Name: fmt.Sprint("s", id)}
			s.Workload.Service = service
			all = append(all, s)
			w.stream(s)
			return s
		}
		first, second := add(1, 1, ""), add(2, 2, "")
		add(3, 3, "web")
		first.Become(add(4, 1, "web"))
		second.Become(add(5, 2, ""))
		for i := range 100 {
			w.now = time.Unix(int64(i), 0)
			w.sweep()
			if i == 50 {
				for _, s := range all {
					s.Ended.Store(true)
				}
			}
		}
		if len(w.members)+len(w.places)+len(w.shared)+len(w.series) != 0 || w.recent != [numLanes]*member{} {
			t.Errorf("group %d: held are members %v, places %v, streams %v, series %v", group, w.members, w.places, w.shared, w.series)
		}
	}
}

func record(data string) []byte {
	b := make([]byte, recordHeader, recordHeader+len(data))
	putRecordHeader(b, 1, len(data), len(data))
	return append(b, data...)
}

// FuzzWholeBytes holds that the walk stops at a place where only whole records
// lie before, whatever the pieces the file arrives in, and finds no more there.
func FuzzWholeBytes(f *testing.F) {
	header := newFileHeader(MaxSnap)
	f.Add([]byte{})
	f.Add(header)
	f.Add(append(bytes.Clone(header), record("frame")...))
	f.Add(append(append(bytes.Clone(header), record("frame")...), 1, 2, 3))
	f.Add(append(bytes.Clone(header), make([]byte, 64)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := wholeBytes(bytes.NewReader(b))
		m, err2 := wholeBytes(iotest.OneByteReader(bytes.NewReader(b)))
		if n != m || (err == nil) != (err2 == nil) {
			t.Fatalf("%d, %v; by single bytes %d, %v", n, err, m, err2)
		}
		if err != nil || n == 0 {
			return
		}
		if n < fileHeader || n > int64(len(b)) {
			t.Fatalf("%d of %d bytes", n, len(b))
		}
		if again, err := wholeBytes(bytes.NewReader(b[:n])); again != n || err != nil {
			t.Fatalf("%d bytes, then %d, %v", n, again, err)
		}
		data := b[fileHeader:n]
		if _, whole := wholeRecords(data, len(data)); whole != len(data) {
			t.Fatalf("%d of %d bytes are whole records", whole, len(data))
		}
	})
}

func TestWholeBytesReadError(t *testing.T) {
	want := errors.New("disk")
	if _, err := wholeBytes(iotest.ErrReader(want)); !errors.Is(err, want) {
		t.Errorf("error %v", err)
	}
}

func TestWholeRecords(t *testing.T) {
	b := append(record("12345"), record("")...)
	for n, want := range map[int][2]int{0: {0, 0}, 15: {0, 0}, 20: {0, 0}, 21: {1, 21}, 36: {1, 21}, 37: {2, 37}} {
		if r, bytes := wholeRecords(b, n); r != want[0] || bytes != want[1] {
			t.Errorf("first %d bytes: %d records in %d bytes, want %v", n, r, bytes, want)
		}
	}
}

// Every header that is written is one that the next start takes for a record,
// and says no less than the record holds.
func TestEveryHeaderIsRecognized(t *testing.T) {
	tests := []struct {
		name               string
		ns                 int64
		captured, original int64
		want               [4]uint32 // seconds, nanoseconds, captured, original
	}{
		{"an empty frame at time 0 is not all zero", 0, 0, 0, [4]uint32{0, 1, 0, 0}},
		{"nor is it when the seconds wrap", 1 << 32 * 1e9, 0, 0, [4]uint32{0, 1, 0, 0}},
		{"an empty frame a nanosecond later", 1, 0, 0, [4]uint32{0, 1, 0, 0}},
		{"a frame at time 0 of which nothing was kept", 0, 0, 60, [4]uint32{0, 0, 0, 60}},
		{"the longest length", 1, 60, math.MaxUint32, [4]uint32{0, 1, 60, math.MaxUint32}},
		{"one above the longest length", 1, 60, math.MaxUint32 + 1, [4]uint32{0, 1, 60, math.MaxUint32}},
		{"a length that would wrap to less than was kept", 1, 60, math.MaxUint32 + 60, [4]uint32{0, 1, 60, math.MaxUint32}},
		{"the longest record", 1, MaxSnap, MaxSnap, [4]uint32{0, 1, MaxSnap, MaxSnap}},
	}
	for _, tt := range tests {
		b := make([]byte, recordHeader)
		putRecordHeader(b, tt.ns, int(tt.captured), int(tt.original))
		if got := [4]uint32{le32(b), le32(b[4:]), le32(b[8:]), le32(b[12:])}; got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
		if n, ok := recordLength(b); !ok || n != recordHeader+int(tt.captured) {
			t.Errorf("%s: recognized as a record of %d bytes, %v", tt.name, n, ok)
		}
	}
}

func TestRecordTimes(t *testing.T) {
	for ns, want := range map[int64][2]uint32{
		0:                         {0, 0},
		-1:                        {1<<32 - 1, 999_999_999},
		1 << 32 * 1e9:             {0, 0},
		1_773_500_966_535_000_001: {1_773_500_966, 535_000_001},
	} {
		b := make([]byte, recordHeader)
		putRecordHeader(b, ns, 0, 1)
		if sec, nsec := le32(b), le32(b[4:]); sec != want[0] || nsec != want[1] {
			t.Errorf("%d ns: %d s and %d ns, want %v", ns, sec, nsec, want)
		}
	}
}

func le32(b []byte) uint32 {
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}
