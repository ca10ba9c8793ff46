package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/internal/pipeline"
)

// Of a damaged file everything before the damage is replayed, and the files
// behind it too; the error says where.
func TestReplayDamagedFile(t *testing.T) {
	const at = 321 // the record that is hit
	m := newMirror(500)
	offset := m.offsets[at]
	claim := append([]byte(nil), m.file...)
	copy(claim[offset+8:], "\xff\xff\xff\x7f")
	frames := 0
	for i := range at {
		if i%101 != 100 {
			frames++
		}
	}
	second, _ := capturedFrames(3, traffic.LinkEthernet)
	secondPath := writeFile(t, filepath.Join(t.TempDir(), "second.pcap"), second)
	for _, test := range []struct {
		name string
		file []byte
		want string
	}{
		{"cut in a record", m.file[:offset+100], "mirror.pcap: .*offset " + fmt.Sprint(offset) + "[^0-9]"},
		{"cut in a record header", m.file[:offset+15], "mirror.pcap: .*offset " + fmt.Sprint(offset) + "[^0-9]"},
		{"impossible length", claim, "mirror.pcap: .*offset " + fmt.Sprint(offset) + "[^0-9].*2147483647 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := writeFile(t, filepath.Join(t.TempDir(), "mirror.pcap"), test.file)
			r := replayMirror(t, nil, path, secondPath)
			if r.code != exitFailure {
				t.Errorf("exit status %d", r.code)
			}
			if text := r.errorLine(t); !regexp.MustCompile(test.want).MatchString(text + " ") {
				t.Errorf("%q, want %q", text, test.want)
			}
			if l := r.ledger; l.Received.Packets != at+3 || l.Delivered.Packets != uint64(frames) || l.Sinks["pcap"].Stored != uint64(frames) {
				t.Errorf("%+v", l)
			}
			files := readTree(t, r.out)
			noPartial(t, files)
			if got := records(files); got != frames {
				t.Errorf("%d records, want %d", got, frames)
			}
		})
	}
}

// A compressed file that is cut yields what can be read of it.
func TestReplayCutCompressedFile(t *testing.T) {
	m := newMirror(20_000)
	for _, suffix := range []string{".gz", ".zst"} {
		t.Run(suffix, func(t *testing.T) {
			whole := compress(t, m.file, suffix)
			path := writeFile(t, filepath.Join(t.TempDir(), "mirror.pcap"+suffix), whole[:len(whole)*3/4])
			r := replayMirror(t, nil, path)
			if r.code != exitFailure || !strings.Contains(r.errorLine(t), "mirror.pcap"+suffix+": ") {
				t.Errorf("exit status %d, %s", r.code, r.stderr)
			}
			n := records(readTree(t, r.out))
			if n < 10_000 || n >= m.frames || uint64(n) != r.ledger.Sinks["pcap"].Stored {
				t.Errorf("%d records, %+v", n, r.ledger)
			}
		})
	}
}

func TestReplayNoSuchFile(t *testing.T) {
	r := runProgram(t, "replay", "nowhere.pcap")
	if r.code != exitFailure || r.stdout != "" || r.stderr != "periscope: stat nowhere.pcap: no such file or directory\n" {
		t.Errorf("%+v", r)
	}
}

// checkHolder checks that a refusal names the process that holds the directory.
func checkHolder(t *testing.T, r result, holder *collector) {
	t.Helper()
	want := fmt.Sprintf("pcap: %s is being written by pid %d on ", holder.out, holder.cmd.Process.Pid)
	if got := r.errorLine(t); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "stop it or choose another directory") {
		t.Errorf("%q, want %q", got, want)
	}
}

// A directory that a collector writes is left alone, its .partial files above
// all.
func TestReplayIntoDirectoryInUse(t *testing.T) {
	c := collect(t, setup{})
	newLoad(t, c.vxlan, 1, 0).send(0, 100)
	c.waitReceived(100)
	before := treeFiles(t, c.out)
	m := newMirror(10)
	r := runProgram(t, "replay", "--out", c.out, writeFile(t, filepath.Join(t.TempDir(), "mirror.pcap"), m.file))
	if r.code != exitUsage || r.stdout != "" {
		t.Errorf("%+v", r)
	}
	checkHolder(t, r, c)
	after := treeFiles(t, c.out)
	sameTree(t, after, before)
	lock, err := os.ReadFile(filepath.Join(c.out, ".lock"))
	if err != nil || !strings.HasPrefix(string(lock), fmt.Sprintf("pid %d ", c.cmd.Process.Pid)) {
		t.Errorf("the lock says %q, error %v", lock, err)
	}
	if status, _ := c.get("/readyz"); status != http.StatusOK {
		t.Errorf("the owner's status is %d", status)
	}
	c.stop()
	once(t, sequences(t, readTree(t, c.out)), 0, 100)
}

// What was dropped is told by sink and reason, but for what the configuration asks.
func TestUnwritten(t *testing.T) {
	err := unwritten(pipeline.Ledger{Sinks: map[string]pipeline.SinkLedger{
		"pcap":   {Dropped: map[string]uint64{"disk_full": 1200, "policy": 1}},
		"splunk": {Dropped: map[string]uint64{"budget": 8, "refused": 1}},
	}})
	want := "1,200 frames not written by pcap: disk_full; make room or mend it, and replay into an empty directory\n" +
		"1 event not written by splunk: refused; periscope spool show has them"
	if err == nil || err.Error() != want {
		t.Errorf("%v\nwant\n%s", err, want)
	}
}

// Nothing is live in a replay, so frames that could not be written are a
// failure, however well the ledger accounts for them.
func TestReplayIntoAFullDiskFails(t *testing.T) {
	out := t.TempDir()
	mountTmpfs(t, out, "256k")
	path := writeFile(t, filepath.Join(t.TempDir(), "mirror.pcap"), newMirror(5000).file)
	r := runProgram(t, "replay", "--out", out, path)
	if r.code != exitFailure {
		t.Errorf("exit status %d", r.code)
	}
	if text := r.errorLine(t); !regexp.MustCompile("frames not written by pcap: disk_full; make room").MatchString(text) {
		t.Errorf("%q", text)
	}
}

func TestReplayOfInnerFramesTellsOfBareVNI(t *testing.T) {
	frames, _ := capturedFrames(3, traffic.LinkEthernet)
	path := writeFile(t, filepath.Join(t.TempDir(), "inner.pcap"), frames)
	for _, test := range []struct {
		args []string
		told bool
	}{{[]string{"replay", path}, true}, {[]string{"replay", "--bare-vni", "5", path}, false}} {
		if r := runProgram(t, test.args...); r.code != exitOK || strings.Contains(r.stderr, "--bare-vni N") != test.told {
			t.Errorf("%v: exit status %d, %q", test.args, r.code, r.stderr)
		}
	}
}
