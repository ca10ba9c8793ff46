package flowlog_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/sink/flowlog"
)

// partial returns a directory with one file as an earlier process leaves it, and
// what is in it: n records, in pieces.
func partial(t testing.TB, n int) (dir, path, content string) {
	t.Helper()
	dir = t.TempDir()
	s := open(t, flowlog.Config{Dir: dir, Replay: true})
	a := newSession(1, "a", "1")
	for i := range n {
		s.Flow(0, flow(a, base, uint16(i)))
		if i%10 == 9 {
			s.Cut(0, cut(base-1000*minute+int64(i)*minute)) // writes
		}
	}
	finish(t, s)
	files := tree(t, dir)
	name := names(files)[0]
	i := strings.LastIndexByte(name, '_')
	path = filepath.Join(dir, name[:i]+"_00000001.log.gz.partial")
	if err := os.Rename(filepath.Join(dir, name), path); err != nil {
		t.Fatal(err)
	}
	return dir, path, files[name]
}

// However much of a file is there, the lines that can be read of it are kept,
// whole, and no others.
func TestSalvageCutFile(t *testing.T) {
	dir, path, content := partial(t, 100)
	whole := unzip(t, content)
	least, kept := 0, 0
	for n := 0; n <= len(content); n += 7 {
		if err := os.WriteFile(path, []byte(content[:n]), 0o640); err != nil {
			t.Fatal(err)
		}
		log, text := logger()
		s := open(t, flowlog.Config{Dir: dir, Log: log})
		finish(t, s)
		files := tree(t, dir)
		if len(files) == 0 {
			if kept > 0 || !strings.Contains(text.String(), "removed=1") {
				t.Errorf("%d bytes: nothing, log\n%s", n, text)
			}
			continue
		}
		kept++
		name := names(files)[0]
		got := unzip(t, files[name])
		if len(files) != 1 || strings.HasSuffix(name, ".partial") {
			t.Errorf("%d bytes: files %q", n, names(files))
		}
		if !strings.HasPrefix(whole, got) || !strings.HasSuffix(got, "\n") || len(got) < least || strings.Count(got, "\n") < 2 {
			t.Errorf("%d bytes: %d bytes of text, of %d; before %d", n, len(got), len(whole), least)
		}
		least = len(got)
		if s.Stats().FilesSalvaged != 1 {
			t.Errorf("%d bytes: %+v", n, s.Stats())
		}
		os.Remove(filepath.Join(dir, name))
	}
	if kept < 10 {
		t.Errorf("only %d sizes gave a file", kept)
	}
}

func TestSalvageOthers(t *testing.T) {
	dir, path, content := partial(t, 10)
	at := filepath.Dir(path)
	prefix := strings.TrimSuffix(path, "00000001.log.gz.partial")
	outside := filepath.Join(t.TempDir(), "outside")
	for name, content := range map[string]string{
		path:                                   content,
		path + ".new":                          "of a start that did not end",
		prefix + "00000002.log.gz.partial":     "not gzip at all",
		prefix + "00000003.log.gz.partial":     "",
		prefix + "1.log.gz.partial":            "not a name of ours",
		filepath.Join(at, "notes.txt.partial"): "likewise",
		outside:                                content,
	} {
		if err := os.WriteFile(name, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(outside, prefix+"00000004.log.gz.partial"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(prefix+"00000005.log.gz.partial", 0o750); err != nil {
		t.Fatal(err)
	}
	log, text := logger()
	finish(t, open(t, flowlog.Config{Dir: dir, Log: log}))
	if !strings.Contains(text.String(), "finished=1 salvaged=0 removed=2 left=1") {
		t.Errorf("log\n%s", text)
	}
	if _, err := os.Stat(outside); err != nil {
		t.Error(err)
	}
	for _, name := range names(tree(t, dir)) {
		if strings.Contains(name, "00000001.log.gz.partial") || strings.HasSuffix(name, "00000002.log.gz.partial") {
			t.Errorf("%s is there still", name)
		}
	}
}
