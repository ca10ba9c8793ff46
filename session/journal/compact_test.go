package journal_test

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/session"
	"github.com/periscope-collector/periscope/session/journal"
)

// A journal stays about its size; the tenures that ended first go, and those that
// did not end stay.
func TestCompact(t *testing.T) {
	const size = 16 << 10
	path := filepath.Join(t.TempDir(), "j")
	k := open(t, path, size)
	for _, n := range []int{1, 2, 3} {
		k.append(tenure(n, 0))
	}
	for n := 1000; n < 2000; n++ {
		k.append(tenure(n, 0))
		k.append(tenure(n, n+1))
		if info, err := os.Stat(path); err != nil || info.Size() > size+512 || info.Size() != k.Stats().Bytes {
			t.Fatalf("%d bytes, %v, %+v", info.Size(), err, k.Stats())
		}
	}
	got, err := k.Entries()
	if err != nil {
		t.Fatal(err)
	}
	want := []session.Entry{tenure(1, 0), tenure(2, 0), tenure(3, 0)}
	if len(got) < 40 {
		t.Fatalf("%d entries are left", len(got))
	}
	for n := 2000 - (len(got) - 3); n < 2000; n++ { // none is left out between
		want = append(want, tenure(n, n+1))
	}
	k.holds("the first that are open, the last that ended", want...)
	if n := strings.Count(k.log.String(), "compacted"); n < 20 || n > 200 || strings.Contains(k.log.String(), "WARN") {
		t.Errorf("logged %d times:\n%s", n, &k.log)
	}
	k.Journal.Close()
	open(t, path, size).holds("opened again", want...)
}

// Which tenures ended first is not when it was said.
func TestCompactDropsWhatEndedFirst(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	k := open(t, path, 0)
	for n := range 100 {
		k.append(tenure(n, 1000-n))
	}
	bytes := k.Stats().Bytes
	k.Journal.Close()
	k = open(t, path, bytes-1) // too large by now
	got, err := k.Entries()
	if err != nil || len(got) < 70 || len(got) > 76 || got[0].Name != "task-0" || got[len(got)-1].Name != tenure(len(got)-1, 0).Name {
		t.Errorf("%d entries, %v: %v", len(got), err, names(got))
	}
}

// Where the open tenures are more than the size none is lost, it is said, and the
// journal is not written anew for every line.
func TestCompactKeepsWhatIsOpen(t *testing.T) {
	const size = 8 << 10
	k := open(t, filepath.Join(t.TempDir(), "j"), size)
	var want []session.Entry
	for n := range 200 {
		k.append(tenure(n, 0))
		want = append(want, tenure(n, 0))
	}
	k.holds("all", want...)
	if n := strings.Count(k.log.String(), "session journal compacted"); n > 30 {
		t.Errorf("compacted %d times", n)
	}
	if !strings.Contains(k.log.String(), "raise aws.journal_size") {
		t.Errorf("logged %s", &k.log)
	}
	for n := range want {
		k.append(tenure(n, 1000+n))
	}
	k.append(tenure(1000, 0))
	if b := k.Stats().Bytes; b > 4*size {
		t.Errorf("%d bytes when nearly all ended", b)
	}
}

// A crash while a journal is written anew leaves it as it was, and the next start
// takes away what there is of the new one.
func TestCrashInCompaction(t *testing.T) {
	k := fresh(t)
	k.append(tenure(1, 0))
	k.Journal.Close()
	if err := os.WriteFile(k.path+".new", []byte("half"), 0o640); err != nil {
		t.Fatal(err)
	}
	k = k.again()
	k.holds("as it was", tenure(1, 0))
	if _, err := os.Stat(k.path + ".new"); !os.IsNotExist(err) {
		t.Errorf("still there: %v", err)
	}
}

// A compaction never follows a link that somebody puts in its way.
func TestCompactReplacesALink(t *testing.T) {
	k := open(t, filepath.Join(t.TempDir(), "j"), 4<<10)
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, k.path+".new"); err != nil {
		t.Fatal(err)
	}
	for n := range 100 {
		k.append(tenure(n, n+1))
	}
	if text, _ := os.ReadFile(victim); string(text) != "mine" {
		t.Errorf("written to: %q", text)
	}
}

// One process writes, also after the file was written anew.
func TestLock(t *testing.T) {
	k := open(t, filepath.Join(t.TempDir(), "j"), 4<<10)
	held := func(what string) {
		t.Helper()
		if _, err := journal.Open(k.path, journal.Config{}); err == nil || !strings.Contains(err.Error(), "another process writes it") {
			t.Errorf("%s: %v", what, err)
		}
	}
	held("new")
	for n := range 100 {
		k.append(tenure(n, n+1))
	}
	if !strings.Contains(k.log.String(), "compacted") {
		t.Fatal("not compacted, so this shows nothing")
	}
	held("compacted")
	k.holds("may be read", must(k.Entries())...)
	k.Journal.Close()
	k.again()
}

func must(e []session.Entry, err error) []session.Entry {
	if err != nil {
		panic(err)
	}
	return e
}

// A journal that was removed is there again with the next statement, whole. One
// that was put in its place is not touched.
func TestRemovedAndReplaced(t *testing.T) {
	k := fresh(t)
	k.append(tenure(1, 0))
	if err := os.Remove(k.path); err != nil {
		t.Fatal(err)
	}
	k.append(tenure(2, 0))
	k.holds("removed", tenure(1, 0), tenure(2, 0))

	if err := os.Remove(k.path); err != nil {
		t.Fatal(err)
	}
	k.overwrite("mine")
	if err := k.Append([]session.Entry{tenure(3, 0)}); err == nil || !strings.Contains(err.Error(), "replaced by another") || k.text() != "mine" {
		t.Errorf("%v, %q", err, k.text())
	}
}

// What is in memory is an index alone.
func TestMemory(t *testing.T) {
	k := open(t, filepath.Join(t.TempDir(), "j"), 1<<30)
	const n = 10_000
	var entries []session.Entry
	for i := range n {
		e := whole()
		e.Source[12], e.Source[13] = byte(i>>8), byte(i)
		entries = append(entries, e)
	}
	before := heap()
	k.append(entries...)
	if grown := heap() - before; grown > 120*n || k.Stats().Tenures != n {
		t.Errorf("%d bytes a tenure, %+v", grown/n, k.Stats())
	}
	runtime.KeepAlive(entries)
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Statements that are not on disk do not count, and do no harm to those to come.
func TestDiskFull(t *testing.T) {
	k := fresh(t)
	k.append(tenure(1, 0))
	limit(t, k.Stats().Bytes+100)
	err := k.Append([]session.Entry{tenure(2, 0)})
	unlimited(t)
	if err == nil {
		t.Fatal("written beyond the limit")
	}
	k.holds("as it was", tenure(1, 0))
	if b := int64(len(k.text())); b != k.Stats().Bytes {
		t.Errorf("%d bytes are there, %d count", b, k.Stats().Bytes)
	}
	k.append(tenure(3, 0))
	k = k.again()
	k.holds("goes on", tenure(1, 0), tenure(3, 0))
	if k.log.Len() != 0 || !slices.Equal(names(must(k.Entries())), []string{"task-1", "task-3"}) {
		t.Errorf("logged %s", &k.log)
	}
}
