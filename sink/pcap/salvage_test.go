package pcap_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/sink/pcap"
)

// wholeBytes is the test's own walk: how many bytes of the file are its header
// and whole records; 0 if there is no record.
func wholeBytes(file string) int {
	if len(file) < 24 {
		return 0
	}
	at := 24
	for len(file)-at >= 16 {
		n := 16 + int(binary.LittleEndian.Uint32([]byte(file[at+8:])))
		if at+n > len(file) {
			break
		}
		at += n
	}
	if at == 24 {
		return 0
	}
	return at
}

// written returns a file as the sink writes it.
func written(t testing.TB, lengths ...int) string {
	dir := t.TempDir()
	s := open(t, pcap.Config{Dir: dir, Replay: true})
	ses := session("s")
	for i, n := range lengths {
		s.Offer(0, frame(ses, int64(i), n))
	}
	finish(t, s)
	for _, content := range tree(t, dir) {
		return content
	}
	return ""
}

const salvageName = "s/s_20260314T150926.535Z_000003.pcap"

func TestSalvageAtEveryLength(t *testing.T) {
	file := written(t, 0, 20, 60)
	dir := t.TempDir()
	os.Mkdir(filepath.Join(dir, "s"), 0o750)
	for n := range len(file) + 1 {
		partial := filepath.Join(dir, salvageName+".partial")
		if err := os.WriteFile(partial, []byte(file[:n]), 0o640); err != nil {
			t.Fatal(err)
		}
		s, got := reopen(t, pcap.Config{Dir: dir, Replay: true})
		finish(t, s)
		whole := wholeBytes(file[:n])
		want := salvaged{removed: 1}
		switch {
		case whole == n && n > 0:
			want = salvaged{finished: 1}
		case whole > 0:
			want = salvaged{salvaged: 1, cutBytes: n - whole}
		}
		if got != want {
			t.Errorf("cut to %d bytes: %+v, want %+v", n, got, want)
		}
		files := tree(t, dir)
		if whole == 0 && len(files) != 0 || whole > 0 && files[salvageName] != file[:whole] {
			t.Errorf("cut to %d bytes: files %q", n, names(files))
		}
		os.Remove(filepath.Join(dir, salvageName))
	}
}

func TestSalvageQuirks(t *testing.T) {
	file := written(t, 60, 60)
	long := []byte(file)
	binary.LittleEndian.PutUint32(long[24+76+8:], pcap.MaxSnap+1)
	tests := []struct {
		name    string
		path    string
		content string
		want    salvaged
		left    string // path afterwards
	}{
		{"zeros behind the last record", salvageName + ".partial", file + strings.Repeat("\x00", 500),
			salvaged{salvaged: 1, cutBytes: 500}, salvageName},
		{"a length beyond the snap length", salvageName + ".partial", string(long),
			salvaged{salvaged: 1, cutBytes: 76}, salvageName},
		{"another file header", salvageName + ".partial", strings.Repeat("x", 100),
			salvaged{left: 1}, salvageName + ".partial"},
		{"not our naming", "s/notes.partial", "x", salvaged{}, "s/notes.partial"},
		{"another session's name", "s/t_20260314T150926.535Z_000003.pcap.partial", "x",
			salvaged{}, "s/t_20260314T150926.535Z_000003.pcap.partial"},
		{"complete", salvageName, file[:50], salvaged{}, salvageName},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			os.Mkdir(filepath.Join(dir, "s"), 0o750)
			os.WriteFile(filepath.Join(dir, tt.path), []byte(tt.content), 0o640)
			s, got := reopen(t, pcap.Config{Dir: dir})
			if got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
			finish(t, s)
			if got := names(tree(t, dir)); len(got) != 1 || got[0] != tt.left {
				t.Errorf("files %q, want %s", got, tt.left)
			}
		})
	}
}

// A name that is taken is not replaced; the data stays where it is.
func TestSalvageNameTaken(t *testing.T) {
	dir := t.TempDir()
	os.Mkdir(filepath.Join(dir, "s"), 0o750)
	os.WriteFile(filepath.Join(dir, salvageName+".partial"), []byte(written(t, 60)), 0o640)
	os.WriteFile(filepath.Join(dir, salvageName), []byte("mine"), 0o640)
	s, got := reopen(t, pcap.Config{Dir: dir})
	finish(t, s)
	if files := tree(t, dir); files[salvageName] != "mine" || len(files) != 2 || got.left != 1 {
		t.Errorf("files %q, %+v", names(files), got)
	}
}
