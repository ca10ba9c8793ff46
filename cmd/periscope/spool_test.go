package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/sink/splunk"
	"github.com/periscope-collector/periscope/sink/splunk/hec/hectest"
	"github.com/periscope-collector/periscope/sink/spool"
)

// refusedLine is a line of the file of refused events.
func refusedLine(t *testing.T, lane string, code int, event string) string {
	t.Helper()
	line, err := json.Marshal(splunk.Quarantined{
		At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Lane: lane, Code: code, Text: "why", Event: json.RawMessage(event),
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(line) + "\n"
}

// spoolOf makes a spool with refused events, and a configuration for it and a
// server. It returns the path of that and the directory.
func spoolOf(t *testing.T, s *hectest.Server, refused string) (config, dir string) {
	t.Helper()
	root := t.TempDir()
	dir = filepath.Join(root, "spool")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(root, "hec.token"), []byte(hecToken+"\n"))
	if refused != "" {
		writeFile(t, filepath.Join(dir, splunk.QuarantineName), []byte(refused))
	}
	text := fmt.Sprintf("sinks: {splunk: {endpoints: [%s], token_file: hec.token}}\n", s.URL)
	return writeFile(t, filepath.Join(root, "splunk.yaml"), []byte(text)), dir
}

// What waits is listed while another process has the spool.
func TestSpoolList(t *testing.T) {
	dir := t.TempDir()
	for lane, n := range map[string]int{"flow@net": 1234, "ledger": 0} {
		s, err := spool.Open(spool.Config{Dir: filepath.Join(dir, lane), Size: 64 << 20,
			Now: func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		for range n {
			if err := s.Append([]byte(`{"event":{}}`)); err != nil {
				t.Fatal(err)
			}
		}
		if n > 0 { // what is read is out, and no longer in the buffer
			if _, err := s.Read(1, 1<<20); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := `LANE      EVENTS  ON DISK  OLDEST
flow@net  1,234   34 KiB   2026-01-02T03:04:05Z
ledger    0       0 B      -

No event was refused.
`
	if r := runProgram(t, "spool", "list", "--dir", dir); r != (result{stdout: want}) {
		t.Errorf("%+v\nwant\n%s", r, want)
	}

	writeFile(t, filepath.Join(dir, splunk.QuarantineName), []byte(
		refusedLine(t, "flow@net", 6, `{"event":1}`)+refusedLine(t, "ledger", 13, `{"event":""}`)+
			refusedLine(t, "flow@net", 6, `{"event":2}`)+refusedLine(t, "two words\n", -1, `{"event":2}`)+refusedLine(t, "flow", 99, `{}`)+"torn"))
	writeFile(t, filepath.Join(dir, resendFile), []byte(refusedLine(t, "flow@net", 6, `{"event":0}`)))
	if err := os.Mkdir(filepath.Join(dir, "flow"), 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "flow", "checkpoint"), []byte("damaged"))
	want = `
REFUSED  LANE        WHY
1        -           lines that cannot be read
1        flow        code 99
3        flow@net    code 6, invalid data format
1        ledger      code 13, event field cannot be blank
1        two?words?  without a code
`
	r := runProgram(t, "spool", "list", "--dir", dir)
	if r.code != exitOK || !strings.HasSuffix(r.stdout, "Z\nledger    0       0 B      -\n"+want) {
		t.Errorf("%+v\nwant\n%s", r, want)
	}
	// A lane that cannot be read does not keep the others from being listed.
	if !regexp.MustCompile(`^periscope: spool .*/flow: .*\n$`).MatchString(r.stderr) {
		t.Errorf("of a damaged lane it says %q", r.stderr)
	}
}

func TestSpoolShow(t *testing.T) {
	dir := t.TempDir()
	first, second, third := refusedLine(t, "flow", 6, `{"event":1}`), refusedLine(t, "flow", 6, `{"event":2}`), refusedLine(t, "flow", 6, `{"event":3}`)
	writeFile(t, filepath.Join(dir, resendFile), []byte(first))
	writeFile(t, filepath.Join(dir, splunk.QuarantineName), []byte(second+third))
	for n, want := range map[string]string{"1": first, "2": first + second, "3": first + second + third, "4": first + second + third, "0": first + second + third} {
		if r := runProgram(t, "spool", "show", "--dir", dir, "--n", n); r != (result{stdout: want}) {
			t.Errorf("--n %s: %+v", n, r)
		}
	}
	if r := runProgram(t, "spool", "show", "--dir", t.TempDir()); r != (result{}) {
		t.Errorf("of nothing: %+v", r)
	}
}

// Two at once do not send the same.
func TestTakeAside(t *testing.T) {
	dir := t.TempDir()
	if f, err := takeAside(dir); f != nil || err != nil {
		t.Errorf("of nothing: %v, %v", f, err)
	}
	writeFile(t, filepath.Join(dir, splunk.QuarantineName), []byte("a\n"))
	f, err := takeAside(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := takeAside(dir); err == nil || !strings.HasSuffix(err.Error(), resendFile+" is being sent by another process; wait for its end") {
		t.Errorf("the second: %v", err)
	}
	// The first has refused events put back beside those that came meanwhile.
	writeFile(t, filepath.Join(dir, splunk.QuarantineName), []byte("b\n"))
	if err := putBack(dir, f, [][]byte{[]byte("a")}); err != nil {
		t.Fatal(err)
	}
	wantSpool(t, dir, "b\na\n")
	if ours, err := claim(f); ours || err != nil {
		t.Errorf("a file that was sent and removed: %v, %v", ours, err)
	}
	writeFile(t, f.Name(), nil)
	if ours, err := claim(f); ours || err != nil {
		t.Errorf("a file that was removed, and there is another: %v, %v", ours, err)
	}
}

// What root puts back stays the service's, whose directory it is.
func TestPutBackOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("run as root")
		}
		t.Skip("changes owners; run as root")
	}
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, splunk.QuarantineName), []byte("a\n"))
	f, err := takeAside(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := errors.Join(os.Chown(dir, 65534, 65533), putBack(dir, f, [][]byte{[]byte("a")})); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(dir, splunk.QuarantineName), &st); err != nil || st.Uid != 65534 || st.Gid != 65533 {
		t.Errorf("owner %d:%d (%v), want that of the directory", st.Uid, st.Gid, err)
	}
}

// When there is no room the events stay aside.
func TestPutBackNoRoom(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, splunk.QuarantineName), []byte("a\n"))
	f, err := takeAside(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	full := writeFile(t, filepath.Join(dir, splunk.QuarantineName), nil)
	if err := os.Truncate(full, splunk.QuarantineMost-1); err != nil {
		t.Fatal(err)
	}
	if err := putBack(dir, f, [][]byte{[]byte("a")}); err == nil || !strings.Contains(err.Error(), "has no room for 1 events: they stay in "+f.Name()) {
		t.Errorf("%v", err)
	}
	if lines, err := readQuarantine(f.Name()); err != nil || len(lines) != 1 {
		t.Errorf("%q, %v", lines, err)
	}
	if err := os.Truncate(full, splunk.QuarantineMost+1); err != nil {
		t.Fatal(err)
	}
	if _, err := readQuarantine(full); err == nil || !strings.Contains(err.Error(), "larger than 64 MiB") {
		t.Errorf("a file of another: %v", err)
	}
}

// FuzzParseQuarantined: a line is an error, or has an event that can be sent.
func FuzzParseQuarantined(f *testing.F) {
	f.Add([]byte(`{"at":"2026-01-02T03:04:05Z","lane":"flow","code":6,"text":"t","event":{"event":1}}`))
	f.Add([]byte(`{"event":null}`))
	f.Add([]byte(`{"event": {}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		q, err := parseQuarantined(line)
		if err == nil && (!json.Valid(q.Event) || q.Event[0] != '{') {
			t.Fatalf("%q of %q", q.Event, line)
		}
	})
}
