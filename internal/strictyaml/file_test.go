package strictyaml_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/periscope-collector/periscope/internal/strictyaml"
)

// A file is read whole, and one byte more than the most tells that it is too large.
// What is no file is not waited for.
func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	for text, want := range map[string]string{"": "", "four": "four", "fives": "fives", "sixsix": "sixsi"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		data, info, err := strictyaml.ReadFile("rules file", path, 4)
		if err != nil || string(data) != want || info.Size() != int64(len(text)) {
			t.Errorf("%q: read %q: %v", text, data, err)
		}
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, other := range []string{dir, pipe} {
		if _, _, err := strictyaml.ReadFile("rules file", other, 4); err == nil || err.Error() != "rules file: "+other+" is not a regular file" {
			t.Errorf("error %v", err)
		}
	}
	_, _, err := strictyaml.ReadFile("rules file", path+"s", 4)
	if !errors.Is(err, fs.ErrNotExist) || err.Error() != "rules file: stat "+path+"s: no such file or directory" {
		t.Errorf("error %v", err)
	}
}
