package hec_test

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/periscope-collector/periscope/sink/splunk/hec"
	"github.com/periscope-collector/periscope/sink/splunk/hec/hectest"
)

func TestMissingTokenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hec.token")
	err := dial(t, hec.Config{TokenFile: path}, hectest.New(t)).Tokens()
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path+":") || !strings.Contains(err.Error(), "put the token there") {
		t.Errorf("%v: want the file and what to do", err)
	}
}

func TestTokenFileRefuses(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", "no token"},
		{" \n\n", "no token"},
		{first + " " + second, "line 1"},
		{second + "\nshort", "line 2"},
		{strings.Repeat("x", 64<<10) + "y", "larger"},
		{first, ""},
	} {
		err := dial(t, hec.Config{TokenFile: write(t, "t", tt.text)}, hectest.New(t)).Tokens()
		if tt.want == "" && err == nil {
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), first) {
			t.Errorf("%.40q: %v, want %q", tt.text, err, tt.want)
		}
	}
}

// TestTokenComesLater says that a client without a token asks nobody, says so once,
// and goes on within 5 s when there is one.
func TestTokenComesLater(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "no token": "<html>", "none": "-"} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, net *hectest.Network) {
				s := net.New(first)
				var log bytes.Buffer
				path := write(t, "token", text)
				if text == "-" {
					path += ".none"
				}
				c := dial(t, hec.Config{TokenFile: path, Dial: net.Dial, Log: slog.New(slog.NewTextHandler(&log, nil))}, s)
				sent := make(chan hec.Outcome, 2)
				for range cap(sent) {
					go func() { sent <- try(t, c) }()
				}
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				if e := c.Stats().Endpoints[0]; e.Hold != "token" || e.Up || len(s.Seen()) != 0 || len(sent) != 0 {
					t.Errorf("hold %q, %d requests", e.Hold, len(s.Seen()))
				}
				if n := strings.Count(log.String(), "level=WARN"); n != 1 || !strings.Contains(log.String(), path) || !strings.Contains(log.String(), "put ") {
					t.Errorf("%d warnings, want one that names the file and what to do:\n%s", n, &log)
				}
				rewrite(t, path, first)
				time.Sleep(5 * time.Second)
				synctest.Wait()
				for range cap(sent) {
					if o := <-sent; o.Class != hec.Delivered {
						t.Errorf("%v (%v), want delivered", o.Class, o.Err)
					}
				}
				if e := c.Stats().Endpoints[0]; e.Hold != "" {
					t.Errorf("hold %q", e.Hold)
				}
			})
		})
	}
}
