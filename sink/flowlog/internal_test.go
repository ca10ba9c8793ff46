package flowlog

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/record"
	"github.com/periscope-collector/periscope/sink/dir"
	"github.com/periscope-collector/periscope/sink/queue"
)

// A file that was extended piece by piece is one gzip member, whole after each.
func TestExtend(t *testing.T) {
	c := newCompressor(level)
	var end boundary
	var file []byte
	var want string
	for _, piece := range []string{"header\n", "", "line\n", strings.Repeat("the same line again\n", 50_000), "x"} {
		out, next := c.extend(end, []byte(piece))
		file = append(file[:end.offset], out...)
		end, want = next, want+piece
		if int64(len(file)) != end.offset+trailerLen {
			t.Errorf("%d bytes, boundary at %d", len(file), end.offset)
		}
		z, err := gzip.NewReader(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(z); err != nil || string(got) != want {
			t.Errorf("after %d bytes: %d read, %v", len(want), len(got), err)
		}
		if z.ModTime.Unix() > 0 || z.Name != "" {
			t.Errorf("header %+v", z.Header)
		}
	}
}

func TestExtendAllocatesNothing(t *testing.T) {
	c := newCompressor(level)
	header, text := []byte("header\n"), bytes.Repeat([]byte("some line\n"), 1000)
	c.extend(boundary{}, header, text)
	if n := testing.AllocsPerRun(20, func() { c.extend(boundary{}, header, text) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestEscape(t *testing.T) {
	long := strings.Repeat("x", maxName)
	for name, want := range map[string]string{
		"":             "unknown",
		"111122223333": "111122223333",
		"eu-central-1": "eu-central-1",
		"a.b":          "a.b",
		".":            "%2E",
		"..":           "%2E.",
		"a/b":          "a%2Fb",
		"a_b":          "a%5Fb",
		"a\x00 é":      "a%00%20%C3%A9",
		long:           long,
	} {
		if got := escape(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	one, two := escape(long+"1"), escape(long+"2")
	if len(one) != maxName || len(two) != maxName || one == two {
		t.Errorf("%q, %q", one, two)
	}
}

// The names of .partial files are recognised, and file names are not too long.
func TestNames(t *testing.T) {
	for _, format := range []Format{Text, JSON} {
		c := Config{Dir: "dir", Format: format}
		if err := c.setDefaults(); err != nil {
			t.Fatal(err)
		}
		n := newNamer(&c)
		path := n.path(slot{strings.Repeat("/", 100), strings.Repeat("_", 100), 0})
		for _, number := range []uint32{0, 1, 99_999_999, 100_000_000, 1<<32 - 1} {
			name := n.partial(path, number)
			name = name[strings.LastIndexByte(name, '/')+1:]
			if len(name)+len(newSuffix) > 255 || !partialName.MatchString(name) {
				t.Errorf("%d bytes: %s", len(name), name)
			}
			want := regexp.MustCompile(`_19700101T0000Z_0badcafe\.(log|json)\.gz$`)
			if got := final(name, 0xbadcafe); !want.MatchString(got) {
				t.Errorf("final name %s", got)
			}
		}
	}
}

func TestConfigRefused(t *testing.T) {
	for want, c := range map[string]Config{
		"flowlog: no directory given":                                      {},
		"flowlog: d: a value in the configuration is out of range":         {Dir: "d", Workers: 65537},
		`flowlog: format "xml": write text or json`:                        {Dir: "d", Format: "xml"},
		`flowlog: layout "flat": write plain, hourly, hive or hive-hourly`: {Dir: "d", Layout: "flat"},
	} {
		if _, err := Open(c); err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

func TestCutItem(t *testing.T) {
	for _, c := range []packet.Cut{{Begin: 1, End: 2}, {Begin: -5, End: 5, Last: true}} {
		for _, worker := range []int{0, 255, 65535} {
			r := cutItem(worker, c)
			if id, got, ok := asCut(&r); !ok || id != worker || got != c {
				t.Errorf("%d %+v: %d %+v %v", worker, c, id, got, ok)
			}
		}
	}
	if _, _, ok := asCut(&packet.Flow{Session: new(packet.Session)}); ok {
		t.Error("a record is taken for a cut")
	}
}

// A worker's side allocates nothing, with room and without.
func TestFlowAllocatesNothing(t *testing.T) {
	s := &Sink{queue: queue.New[packet.Flow](queue.Config{Workers: 1, Bytes: 1}), workers: make([]worker, 1)}
	r := packet.Flow{Session: new(packet.Session)}
	for range 1000 {
		s.Flow(0, &r)
	}
	if n := testing.AllocsPerRun(100, func() { s.Flow(0, &r) }); n != 0 {
		t.Errorf("without room: %v allocations", n)
	}
	s.workers[0].dropped.Store(0)
	if n := testing.AllocsPerRun(100, func() {
		for range 64 {
			s.Flow(0, &r)
		}
		s.queue.Drain(func(*packet.Flow) {})
	}); n != 0 || s.workers[0].dropped.Load() > 64 {
		t.Errorf("with room: %v allocations, %d dropped", n, s.workers[0].dropped.Load())
	}
}

// A long file is completed before its time, and another of the window begun.
func TestLongFile(t *testing.T) {
	c := Config{Dir: t.TempDir()}
	if err := c.setDefaults(); err != nil {
		t.Fatal(err)
	}
	lock, err := dir.TakeLock(c.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	jobs := make(chan job, 1)
	w := newWriter(&Sink{}, &c, lock, jobs)
	r := packet.Flow{Session: new(packet.Session), Side: [2]packet.FlowSide{{Packets: 1}}}
	w.take(&r)
	first := w.last
	if !w.flush(first) {
		t.Fatal("not written")
	}
	first.end.offset = maxFile - 1
	if w.take(&r); w.last != first {
		t.Error("another file below the limit")
	}
	first.clear()
	first.end.offset = maxFile
	w.take(&r)
	if w.last == first || len(jobs) != 1 || len(w.files) != 1 || w.counts.open != 0 {
		t.Errorf("%d files, %d completed, counts %+v", len(w.files), len(jobs), w.counts)
	}
	(<-jobs).file.Close()
}

func TestIntervalsAreBounded(t *testing.T) {
	w := &writer{}
	for i := range int64(3 * maxIntervals) {
		w.interval(i*7%(2*maxIntervals), 0)
	}
	if len(w.intervals) != maxIntervals {
		t.Errorf("%d intervals", len(w.intervals))
	}
	for i := 1; i < len(w.intervals); i++ {
		if w.intervals[i-1].begin >= w.intervals[i].begin {
			t.Fatal("not in order")
		}
	}
}

// A loss while the writer stood still is of every interval of that time.
func TestLossWhileTheWriterStoodStill(t *testing.T) {
	const minute = int64(time.Minute)
	var lost uint64
	w := &writer{step: minute, present: math.MinInt64, complete: math.MinInt64, config: &Config{Lost: func() uint64 { return lost }}}
	sample := func(at int64) {
		w.now = time.Unix(0, at)
		w.sample()
	}
	sample(minute / 2)
	lost = 5
	sample(2*minute + minute/2)
	for i := range int64(4) {
		v := w.interval(i*minute, (i+1)*minute)
		if marked, want := min(v.lostUntil, lost) > v.lostBefore, i < 3; marked != want {
			t.Errorf("minute %d: marked %v, want %v", i, marked, want)
		}
	}
}

// Misses beyond what a worker notes are counted as lines that are lost, and no
// session passes for one without traffic.
func TestMissesAreBounded(t *testing.T) {
	known := &packet.Session{Known: true}
	c := Config{Sessions: func() []*packet.Session { return []*packet.Session{known} }, Lost: func() uint64 { return 0 }}
	s := &Sink{workers: make([]worker, 1)}
	w := &writer{sink: s, config: &c, complete: math.MinInt64}
	all := &s.workers[0].misses
	for i := range maxMissed {
		all.add(miss{&packet.Session{ID: uint32(i)}, 0, 1})
	}
	if len(all.noted) != maxMissed || all.left != 0 {
		t.Errorf("%d misses, %d left out", len(all.noted), all.left)
	}
	for range 3 {
		all.add(miss{known, 0, 1})
	}
	if len(all.noted) != maxMissed+1 || all.left != 1 {
		t.Errorf("no room: %d misses, %d left out", len(all.noted), all.left)
	}
	for i := range int64(2 * maxIntervals) {
		all.add(miss{known, -i - 1, -i})
	}
	if len(all.noted) != maxMissed+maxIntervals || all.left != 1+2*maxIntervals {
		t.Errorf("no room, many intervals: %d misses, %d left out", len(all.noted), all.left)
	}
	w.collectMissed()
	if n := uint64(1 + 2*maxIntervals); w.counts.skipData != n || w.counts.statusLost != n {
		t.Errorf("%+v, want %d lines lost", w.counts, n)
	}
	v := w.interval(0, 1)
	if len(v.active) != maxMissed || !v.unsure {
		t.Errorf("%d sessions active, unsure %v", len(v.active), v.unsure)
	}
	clear(v.active)
	if w.statuses(v); w.counts.noData != 0 {
		t.Error("a session with a record that was dropped has NODATA")
	}
	if len(all.noted) != 0 || all.left != 0 {
		t.Errorf("not taken: %+v", all)
	}
}

// Whatever is in a file, salvage keeps whole lines of it, and what it keeps it
// would find whole.
func FuzzWholeLines(f *testing.F) {
	c := newCompressor(level)
	fields, err := record.ParseFields("")
	if err != nil {
		f.Fatal(err)
	}
	piece, end := c.extend(boundary{}, []byte(fields.Header()+"\n"))
	file := bytes.Clone(piece)
	f.Add(file)
	piece, _ = c.extend(end, []byte("a line\nanother\nhalf a li"))
	file = append(file[:end.offset], piece...)
	f.Add(file)
	f.Add(file[:len(file)-3])
	f.Add([]byte(gzipHeader))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		read := func(data []byte) (text []byte, cut error) {
			cut, err := wholeLines(bytes.NewReader(data), func(piece []byte) error {
				if len(piece) == 0 || piece[len(piece)-1] != '\n' || len(piece) > chunkText {
					return fmt.Errorf("a piece of %d bytes", len(piece))
				}
				text = append(text, piece...)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return text, cut
		}
		text, _ := read(data)
		again, _ := c.extend(boundary{}, text)
		got, cut := read(bytes.Clone(again))
		if cut != nil || !bytes.Equal(got, text) {
			t.Errorf("%d bytes of lines, written again: %d, %v", len(text), len(got), cut)
		}
	})
}
