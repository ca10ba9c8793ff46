package splunk

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/sink/splunk/hec/hectest"
)

// TestTokenComesLater says that the sink opens without a token, keeps events, and
// sends them when there is one; and that Close does not wait for it.
func TestTokenComesLater(t *testing.T) {
	bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
		if err := os.Remove(c.HEC.TokenFile); err != nil {
			t.Fatal(err)
		}
		s := open(t, c)
		give(s, 0, 100)
		after(time.Hour)
		if l := s.Ledger(); l.Pending != 100 || s.Stats().HEC.Endpoints[0].Hold != "token" {
			t.Errorf("account %+v, want 100 pending", l)
		}
		start := time.Now()
		if finish(t, s); time.Since(start) > time.Second {
			t.Errorf("Close took %v", time.Since(start))
		}
		s = open(t, c)
		give(s, 100, 200)
		after(time.Minute)
		if err := os.WriteFile(c.HEC.TokenFile, []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
		after(10 * time.Second)
		if l := s.Ledger(); l.Stored != 200 {
			t.Errorf("account %+v, want 200 stored", l)
		}
		finish(t, s)
		wantOnce(t, numbers(t, server), 0, 200)
	})
}

// TestTokenIsNotWritten says that neither the log nor a file has the token,
// whatever an endpoint says.
func TestTokenIsNotWritten(t *testing.T) {
	bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
		var log bytes.Buffer
		c.Log = logTo(&log)
		server.Script(
			hectest.Answer{Status: 403, Body: `{"text":"Invalid token ` + token + `","code":4}`},
			hectest.Answer{Status: 400, Body: `{"text":"` + token + `","code":6}`},
			hectest.Answer{Status: 503, Body: token, Header: map[string][]string{"Server": {token}}},
			hectest.Answer{Status: 302, Header: map[string][]string{"Location": {"http://127.0.0.1/" + token}}},
			hectest.Answer{Status: 400, Body: `{"text":"` + token + `","code":7}`},
		)
		s := open(t, c)
		give(s, 0, 1)
		after(time.Hour)
		give(s, 1, 10)
		after(time.Hour)
		finish(t, s)
		if requests := len(server.Seen()); requests < 6 || log.Len() == 0 {
			t.Errorf("%d requests; log:\n%s", requests, &log)
		}
		if strings.Contains(log.String(), token) {
			t.Errorf("the log has the token:\n%s", &log)
		}
		files := 0
		err := filepath.WalkDir(c.Dir, func(path string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			if files++; bytes.Contains(text, []byte(token)) {
				t.Errorf("%s has the token", path)
			}
			return err
		})
		if err != nil || files == 0 {
			t.Errorf("%d files: %v", files, err)
		}
	})
}
