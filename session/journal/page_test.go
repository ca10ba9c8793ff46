package journal_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/session/journal"
)

// The example in docs/formats.md is a journal, of one tenure that ended.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/formats.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "## The session journal")
	_, example, _ := strings.Cut(section, "```json\n")
	example, _, _ = strings.Cut(example, "```")
	path := filepath.Join(t.TempDir(), "j")
	if err := os.WriteFile(path, []byte(example), 0o600); err != nil {
		t.Fatal(err)
	}
	entries, damaged, err := journal.Load(path)
	if err != nil || damaged != 0 || len(entries) != 1 || entries[0].Until == 0 || entries[0].Workload.Service != "web" {
		t.Errorf("%+v, %d damaged, %v", entries, damaged, err)
	}
}
