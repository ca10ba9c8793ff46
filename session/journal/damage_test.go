package journal_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/periscope-collector/periscope/session"
	"github.com/periscope-collector/periscope/session/journal"
)

func (k *kept) overwrite(text string) {
	k.Helper()
	if err := os.WriteFile(k.path, []byte(text), 0o640); err != nil {
		k.Fatal(err)
	}
}

// A damaged line is passed over, and told with its number; no other is lost.
func TestDamagedLines(t *testing.T) {
	source := fresh(t)
	source.append(tenure(1, 0), tenure(2, 0), tenure(3, 0))
	lines := strings.SplitAfter(source.text(), "\n")
	line := lines[2]
	for _, tt := range []struct{ name, damaged, want string }{
		{"empty", "\n", "unexpected end of JSON input"},
		{"zeros", strings.Repeat("\x00", 100) + "\n", "invalid character"},
		{"cut", line[:len(line)/2] + "\n", "invalid character"},
		{"two in one", strings.TrimSuffix(line, "\n") + line, "after top-level value"},
		{"a header", lines[0], "no session"},
		{"null", "null\n", "no session"},
		{"a list", "[]\n", "cannot unmarshal"},
		{"no vni", `{"learnt":"2026-01-15T10:00:00Z","session":{}}` + "\n", "vni is missing"},
		{"vni too large", strings.Replace(line, `"vni":7`, `"vni":16777216`, 1), "vni: must be 0 to 16777215"},
		{"mac", strings.Replace(line, `"vni":7`, `"vni":7,"mac":"ff:ff:ff:ff:ff:ff"`, 1), "must be an interface's MAC address"},
		{"time", strings.Replace(line, `"from":"2026`, `"from":"1066`, 1), "from: must be a time"},
		{"ends before it begins", strings.Replace(line, `"vni":7`, `"vni":7,"until":"2020-01-01T00:00:00Z"`, 1), "until: must be later than from"},
		{"too long", strings.Replace(line, "task-2", strings.Repeat("x", 256<<10), 1), "longer than 262144 bytes"},
		{"much too long", strings.Repeat("x", 1<<20) + "\n", "longer than 262144 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := fresh(t)
			k.Journal.Close()
			k.overwrite(lines[0] + lines[1] + tt.damaged + lines[3])
			k = k.again()
			k.holds("the others", tenure(1, 0), tenure(3, 0))
			if !strings.Contains(k.log.String(), " line=3 ") || !strings.Contains(k.log.String(), tt.want) || strings.Count(k.log.String(), "\n") != 1 {
				t.Errorf("logged %s", &k.log)
			}
			if _, damaged, err := journal.Load(k.path); damaged != 1 || err != nil || k.Stats().Damaged != 1 {
				t.Errorf("%d damaged, %v, %+v", damaged, err, k.Stats())
			}
			k.append(tenure(4, 0))
			k = k.again()
			k.holds("goes on", tenure(1, 0), tenure(3, 0), tenure(4, 0))
		})
	}
}

func TestManyDamagedLines(t *testing.T) {
	k := fresh(t)
	k.append(tenure(1, 0))
	text := k.text()
	k.Journal.Close()
	k.overwrite(text + strings.Repeat("damaged\n", 100))
	k = k.again()
	if n := strings.Count(k.log.String(), "\n"); n != 11 || !strings.Contains(k.log.String(), "lines=90") || k.Stats().Damaged != 100 {
		t.Errorf("logged %d lines, %+v:\n%s", n, k.Stats(), &k.log)
	}
}

// What is not a journal of this version is refused, and left as it is.
func TestRefused(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"another file", "sessions: []\n", "not a session journal"},
		{"no line", "hello", "not a session journal"},
		{"other JSON", `{"version":1}` + "\n", "not a session journal"},
		{"a later version", `{"periscope":"session journal","version":2}` + "\n", "a journal of version 2, and this program reads 1"},
		{"a long line", strings.Repeat("{", 1<<20), "not a session journal"},
	} {
		path := filepath.Join(t.TempDir(), "j")
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, opened := journal.Open(path, journal.Config{})
		_, _, loaded := journal.Load(path)
		for _, err := range []error{opened, loaded} {
			if err == nil || !strings.Contains(err.Error(), path+": "+tt.want) && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %v", tt.name, err)
			}
		}
		if text, _ := os.ReadFile(path); string(text) != tt.text {
			t.Errorf("%s: changed to %q", tt.name, text)
		}
	}
}

func TestNotAFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "j")
	target := fresh(t)
	for _, tt := range []struct {
		name string
		make func() error
		link bool
	}{
		{"a symbolic link", func() error { return os.Symlink(target.path, path) }, true},
		{"a link to nothing", func() error { return os.Symlink(filepath.Join(dir, "none"), path) }, true},
		{"a pipe", func() error { return syscall.Mkfifo(path, 0o600) }, false},
		{"a directory", func() error { return os.Mkdir(path, 0o700) }, false},
	} {
		if err := tt.make(); err != nil {
			t.Fatal(err)
		}
		if j, err := journal.Open(path, journal.Config{}); err == nil || j != nil {
			t.Errorf("%s is opened", tt.name)
		}
		if _, _, err := journal.Load(path); err == nil && !tt.link {
			t.Errorf("%s is loaded", tt.name)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "none")); err == nil {
		t.Error("a file was made behind the link")
	}
}

// A model keeps the last statements of a journal in memory.
type model struct {
	order []session.Entry
}

func (m *model) say(e session.Entry) {
	i := slices.IndexFunc(m.order, func(o session.Entry) bool { return o.Tenure() == e.Tenure() })
	if i >= 0 {
		if reflect.DeepEqual(m.order[i], e) {
			return
		}
		m.order = slices.Delete(m.order, i, i+1)
	}
	m.order = append(m.order, e)
}

// However many bytes of it a crash leaves, a journal opens with the last
// statements of the lines that are whole, and goes on.
func TestCrashAtAnyByte(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		k := fresh(t)
		after := map[int][]session.Entry{len(k.text()): nil} // by the length of the file
		var m model
		for range 12 {
			e := tenure(random.IntN(5), 0)
			if random.IntN(2) == 0 {
				e.Until = e.From + 1 + random.Int64N(1e9)
			}
			k.append(e)
			m.say(e)
			after[len(k.text())] = slices.Clone(m.order)
		}
		text := k.text()
		k.Journal.Close()
		ends := slices.Sorted(maps.Keys(after))
		for range 40 {
			cut := random.IntN(len(text) + 1)
			k.overwrite(text[:cut])
			if loaded, _, err := journal.Load(k.path); cut >= ends[0] && err != nil || cut < ends[0] && err == nil {
				t.Errorf("%d bytes: loaded %v, %v", cut, loaded, err)
			}
			var want []session.Entry
			for _, end := range ends {
				if end <= cut {
					want = after[end]
				}
			}
			again := open(t, k.path, 0)
			again.holds(fmt.Sprint(cut, " bytes"), want...)
			again.append(tenure(9, 0))
			again.holds(fmt.Sprint(cut, " bytes, and on"), append(slices.Clone(want), tenure(9, 0))...)
			if again.Stats().Damaged != 0 {
				t.Errorf("%d bytes: %+v", cut, again.Stats())
			}
			again.Journal.Close()
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(`{"periscope":"session journal","version":1}
{"learnt":"2026-01-15T10:00:00Z","session":{"name":"a","vni":1,"source":"10.0.0.1","mac":"02:00:00:00:00:01"}}
{"learnt":"2026-01-15T10:00:00Z","session":{"vni":1,"source":"10.0.0.1","from":"2026-01-15T10:00:00Z","ecs":{"service":"a"},"labels":{"a":"b"}}}
damaged
{"learnt":`))
	f.Add([]byte("{\"periscope\":\"session journal\",\"version\":1}\n\x00\n{\"session\":null}\n{\"session\":{\"vni\":1,\"source\":\"::1%a\"}}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "j")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		loaded, damaged, err := journal.Load(path)
		j, opened := journal.Open(path, journal.Config{})
		if opened != nil {
			if err == nil {
				t.Fatalf("loaded, but %v", opened)
			}
			return
		}
		defer j.Close()
		entries, readErr := j.Entries()
		if readErr != nil || !reflect.DeepEqual(entries, loaded) || j.Stats().Damaged != damaged {
			t.Fatalf("opened %v, %v, %+v\nloaded %v, %d damaged", entries, readErr, j.Stats(), loaded, damaged)
		}
		// What was read can be written, and is the same then.
		other := filepath.Join(t.TempDir(), "j")
		o, err := journal.Open(other, journal.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer o.Close()
		if err := o.Append(loaded); err != nil {
			t.Fatal(err)
		}
		if again, damaged, err := journal.Load(other); err != nil || damaged != 0 || !reflect.DeepEqual(again, loaded) {
			t.Fatalf("written again: %v, %d, %v\nwas %v", again, damaged, err, loaded)
		}
	})
}
