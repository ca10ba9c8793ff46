package pcap_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink/pcap"
)

// A new name never replaces a file, be it the sink's or somebody else's.
func TestNewNameReplacesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := open(t, pcap.Config{Dir: dir})
		first, before := session("web"), stranger(7)
		give(s, frame(first, 0, 60))
		give(s, frame(before, 1, 60))
		stamp := time.Unix(0, base+1).UTC().Format("20060102T150405.000Z")
		for _, name := range []string{"_000002.pcap", "_000003.pcap.partial"} {
			content := string(fileOf(t, dir, "vni-7"))
			if err := os.WriteFile(filepath.Join(dir, "web", "web_"+stamp+name), []byte(content), 0o640); err != nil {
				t.Fatal(err)
			}
		}
		after := learn(before, "web", "")
		give(s, frame(after, 2, 60), frame(first, 3, 60))
		finish(t, s)
		want(t, dir, map[string]string{
			"web/web_000001.pcap":         "[0 3]",
			"web/web_000002.pcap":         "[1]",
			"web/web_000003.pcap.partial": "[1]",
			"web/web_000004.pcap":         "[1 2]",
		})
	})
}

func fileOf(t testing.TB, dir, name string) []byte {
	t.Helper()
	for path, content := range tree(t, filepath.Join(dir, name)) {
		if path != "" {
			return []byte(content)
		}
	}
	t.Fatalf("there is no file of %s", name)
	return nil
}

// A file that cannot have its new name is completed under the old one, and the
// frames that follow are accounted for.
func TestNewNameThatCannotBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		log, text := logger(t)
		s := open(t, pcap.Config{Dir: dir, Log: log})
		if err := os.WriteFile(filepath.Join(dir, "web"), nil, 0o640); err != nil {
			t.Fatal(err)
		}
		before := stranger(7)
		give(s, frame(before, 0, 60))
		after := learn(before, "web", "")
		give(s, frame(before, 1, 60), frame(after, 2, 60))
		if err := os.Remove(filepath.Join(dir, "web")); err != nil {
			t.Fatal(err)
		}
		pass(s, 3*time.Second)
		give(s, frame(after, 3, 60))
		finish(t, s)
		want(t, dir, map[string]string{"vni-7/vni-7_000001.pcap": "[0 1]", "web/web_000001.pcap": "[3]"})
		if l := s.Ledger(); l.Stored != 3 || l.Dropped[packet.DropIO] != 1 {
			t.Errorf("%+v", l)
		}
		if !strings.Contains(text.String(), "keeps its name") {
			t.Errorf("log\n%s", text)
		}
	})
}

// A file that was taken away is missed when it is to have another name.
func TestFileTakenAwayBeforeItIsRenamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := open(t, pcap.Config{Dir: dir})
		before := stranger(7)
		give(s, frame(before, 0, 60))
		if err := os.RemoveAll(filepath.Join(dir, "vni-7")); err != nil {
			t.Fatal(err)
		}
		after := learn(before, "web", "")
		give(s, frame(after, 1, 60))
		finish(t, s)
		want(t, dir, map[string]string{"web/web_000001.pcap": "[1]"})
		if st := s.Stats(); st.FilesIncomplete != 1 || st.FilesCompleted != 1 || st.FilesCompleting != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// What others put in a file's place stays where it is.
func TestFileReplacedBeforeItIsRenamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := open(t, pcap.Config{Dir: dir})
		before := stranger(7)
		give(s, frame(before, 0, 60))
		for path, content := range tree(t, dir) {
			path = filepath.Join(dir, path)
			if err := errors.Join(os.Remove(path), os.WriteFile(path, []byte(content), 0o640)); err != nil {
				t.Fatal(err)
			}
		}
		after := learn(before, "web", "")
		give(s, frame(after, 1, 60))
		finish(t, s)
		want(t, dir, map[string]string{"vni-7/vni-7_000001.pcap.partial": "[0]", "web/web_000001.pcap": "[1]"})
	})
}

// Retention has a file that was renamed by its new name, and in its sums once.
func TestRetentionOfARenamedFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := open(t, pcap.Config{Dir: dir, Rotate: pcap.Rotate{Every: time.Minute}, Retain: pcap.Retain{Age: time.Hour}})
		before := stranger(7)
		give(s, frame(before, 0, 60))
		after := learn(before, "web", "")
		give(s, frame(after, 1, 60))
		pass(s, 2*time.Minute)
		if st := s.Stats(); st.RetainedFiles != 1 || st.RetainedBytes != 24+2*76 {
			t.Errorf("%+v", st)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if got := directories(t, dir); len(got) != 0 {
			t.Errorf("directories %q are left", got)
		}
		finish(t, s)
	})
}
