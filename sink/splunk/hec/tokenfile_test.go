package hec_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/sink/splunk/hec"
)

func TestMissingTokenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hec.token")
	_, err := hec.New(hec.Config{Endpoints: []hec.Endpoint{{URL: "https://127.0.0.1:8088"}}, TokenFile: path})
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path+":") || !strings.Contains(err.Error(), "put the token there") {
		t.Errorf("%v: want the file and what to do", err)
	}
}
