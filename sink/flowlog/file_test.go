package flowlog_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/record"
	"github.com/periscope-collector/periscope/sink/flowlog"
)

const header = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status\n"

func TestTextFile(t *testing.T) {
	dir := t.TempDir()
	s := open(t, flowlog.Config{Dir: dir, Replay: true})
	a := newSession(1, "a", "111122223333")
	r := flow(a, base+58*second, 44321)
	s.Flow(0, r)
	r.Side[1] = packet.FlowSide{}
	r.Side[0].Packets = 13
	s.Flow(0, r) // copied: the first is as it was
	finish(t, s)

	files := tree(t, dir)
	want := header +
		"2 111122223333 eni-a 10.0.1.163 203.0.113.9 44321 443 6 12 2384 1768471200 1768471253 ACCEPT OK\n" +
		"2 111122223333 eni-a 203.0.113.9 10.0.1.163 443 44321 6 9 800 1768471200 1768471258 ACCEPT OK\n" +
		"2 111122223333 eni-a 10.0.1.163 203.0.113.9 44321 443 6 13 2384 1768471200 1768471253 ACCEPT OK\n"
	if len(files) != 1 {
		t.Fatalf("files %q", names(files))
	}
	name := names(files)[0]
	if got := unzip(t, files[name]); got != want {
		t.Errorf("%s holds\n%s\nwant\n%s", name, got, want)
	}
	path := filepath.Join(dir, name)
	out, err := exec.Command("zcat", path).Output()
	if err != nil || string(out) != want {
		t.Errorf("zcat: %v\n%s", err, out)
	}
	for path, mode := range map[string]os.FileMode{path: 0o640, filepath.Dir(path): 0o750} {
		if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, fi.Mode(), err)
		}
	}
	l, st := s.Ledger(), s.Stats()
	if l.Offered != 2 || l.Stored != 2 || st.Lines != 3 || st.FilesCompleted != 1 || st.FilesOpen != 0 || st.BytesWritten == 0 {
		t.Errorf("ledger %+v, stats %+v", l, st)
	}
}

func TestJSONFile(t *testing.T) {
	dir := t.TempDir()
	s := open(t, flowlog.Config{Dir: dir, Replay: true, Format: flowlog.JSON})
	r := flow(newSession(1, "a", "111122223333"), base+58*second, 44321)
	s.Flow(0, r)
	finish(t, s)
	files := tree(t, dir)
	want := string(record.AppendJSON(nil, r, nil))
	if name := names(files)[0]; unzip(t, files[name]) != want || !strings.HasSuffix(name, ".json.gz") {
		t.Errorf("%s holds\n%s\nwant\n%s", name, unzip(t, files[name]), want)
	}
}

// The flow log's identifier and the hash follow from what is written.
func TestLayouts(t *testing.T) {
	fields, err := record.ParseFields("${version} ${srcaddr} ${account-id}")
	if err != nil {
		t.Fatal(err)
	}
	known := newSession(1, "a", "111122223333")
	unknown := &packet.Session{ID: 2, Name: "vni-2"}
	odd := newSession(3, "c", "../a_b")
	for _, c := range []struct {
		config  flowlog.Config
		session *packet.Session
		want    string // with * for what is derived
	}{
		{flowlog.Config{}, known, "AWSLogs/111122223333/vpcflowlogs/eu-central-1/2026/01/15/111122223333_vpcflowlogs_eu-central-1_fl-*_20260115T1000Z_*.log.gz"},
		{flowlog.Config{Layout: flowlog.Hourly}, known, "AWSLogs/111122223333/vpcflowlogs/eu-central-1/2026/01/15/10/111122223333_vpcflowlogs_eu-central-1_fl-*_20260115T1000Z_*.log.gz"},
		{flowlog.Config{Layout: flowlog.Hive}, known, "AWSLogs/aws-account-id=111122223333/aws-service=vpcflowlogs/aws-region=eu-central-1/year=2026/month=01/day=15/111122223333_vpcflowlogs_eu-central-1_fl-*_20260115T1000Z_*.log.gz"},
		{flowlog.Config{Layout: flowlog.HiveHourly}, known, "AWSLogs/aws-account-id=111122223333/aws-service=vpcflowlogs/aws-region=eu-central-1/year=2026/month=01/day=15/hour=10/111122223333_vpcflowlogs_eu-central-1_fl-*_20260115T1000Z_*.log.gz"},
		{flowlog.Config{Fields: fields}, unknown, "AWSLogs/unknown/vpcflowlogs/unknown/2026/01/15/unknown_vpcflowlogs_unknown_fl-*_20260115T1000Z_*.log.gz"},
		{flowlog.Config{Format: flowlog.JSON}, odd, "AWSLogs/%2E.%2Fa%5Fb/vpcflowlogs/eu-central-1/2026/01/15/%2E.%2Fa%5Fb_vpcflowlogs_eu-central-1_fl-*_20260115T1000Z_*.json.gz"},
	} {
		c.config.Dir, c.config.Replay = t.TempDir(), true
		s := open(t, c.config)
		s.Flow(0, flow(c.session, base+58*second, 1))
		finish(t, s)
		files := names(tree(t, c.config.Dir))
		if len(files) != 1 {
			t.Fatalf("files %q", files)
		}
		if ok, err := filepath.Match(c.want, files[0]); !ok || err != nil {
			t.Errorf("file\n%s\nwant\n%s", files[0], c.want)
		}
	}
}

func TestWindowEdges(t *testing.T) {
	five := 5 * minute
	for _, c := range []struct {
		end  int64
		want string
	}{
		{base - 1, "20260115T0955Z"},
		{base, "20260115T1000Z"},
		{base + five - 1, "20260115T1000Z"},
		{base + five, "20260115T1005Z"},
		{0, "19700101T0000Z"},
		{-1, "19691231T2355Z"},
		{-five, "19691231T2355Z"},
		{-five - 1, "19691231T2350Z"},
		{1<<63 - 1, "22620411T2345Z"},
	} {
		dir := t.TempDir()
		s := open(t, flowlog.Config{Dir: dir, Replay: true})
		r := flow(newSession(1, "a", ""), base, 1)
		r.Side[0].Last, r.Side[1].Last = c.end, c.end
		s.Flow(0, r)
		finish(t, s)
		if got := names(tree(t, dir)); len(got) != 1 || !strings.Contains(got[0], "_"+c.want+"_") {
			t.Errorf("end %d: %q, want %s", c.end, got, c.want)
		}
	}
}

// A file is complete when the interval behind its window is over, and a record
// that comes after that begins another.
func TestCompleteWhenOver(t *testing.T) {
	dir := t.TempDir()
	s := open(t, flowlog.Config{Dir: dir, Replay: true})
	a := newSession(1, "a", "1")
	for i := range int64(7) {
		s.Flow(0, flow(a, base+i*minute+minute-1, uint16(i)))
		s.Cut(0, cut(base+i*minute))
		s.Mark(0, 0, 0)
	}
	s.Flow(0, flow(a, base+minute, 99))
	s.Cut(0, cut(base+7*minute))
	finish(t, s)
	got := names(tree(t, dir))
	if len(got) != 3 || strings.Count(fmt.Sprint(got), "T1000Z") != 2 {
		t.Errorf("files %q", got)
	}
	if n := len(lines(t, dir)); n != 16 {
		t.Errorf("%d lines", n)
	}
}

func TestTooManyOpenFiles(t *testing.T) {
	dir := t.TempDir()
	s := open(t, flowlog.Config{Dir: dir, Replay: true, OpenFiles: 2})
	sessions := []*packet.Session{newSession(1, "a", "1"), newSession(2, "b", "2"), newSession(3, "c", "3")}
	for i := range 9 {
		s.Flow(0, flow(sessions[i%3], base+second, uint16(i)))
	}
	finish(t, s)
	got := names(tree(t, dir))
	if len(got) != 9 || slices.ContainsFunc(got, func(n string) bool { return strings.HasSuffix(n, ".partial") }) {
		t.Errorf("files %q", got)
	}
	if n := len(lines(t, dir)); n != 18 {
		t.Errorf("%d lines", n)
	}
}

// The same records again make files beside those that are there.
func TestNothingIsOverwritten(t *testing.T) {
	dir := t.TempDir()
	for range 3 {
		s := open(t, flowlog.Config{Dir: dir, Replay: true})
		s.Flow(0, flow(newSession(1, "a", "1"), base+second, 1))
		finish(t, s)
	}
	files := tree(t, dir)
	got := names(files)
	if len(got) != 3 || files[got[0]] != files[got[1]] || files[got[0]] != files[got[2]] {
		t.Errorf("files %q", got)
	}
}
