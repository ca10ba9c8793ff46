package hec_test

import (
	"encoding/pem"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/sink/splunk/hec"
	"github.com/periscope-collector/periscope/sink/splunk/hec/hectest"
)

func TestTLS(t *testing.T) {
	s := hectest.NewTLS(t, first)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	ca := write(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})))
	c := dial(t, hec.Config{CA: ca}, s)
	send(t, c, hec.Delivered)
	for name, cfg := range map[string]hec.Config{"unknown authority": {}, "wrong name": {CA: ca, ServerName: "splunk.invalid"}} {
		c := dial(t, cfg, s)
		if o := send(t, c, hec.HoldConfig); o.DupRisk {
			t.Errorf("%s: %+v", name, o)
		}
	}
	if n := len(s.Seen()); n != 1 {
		t.Errorf("%d requests, want 1: a token went to a server that was not verified", n)
	}
}

func TestNewRefuses(t *testing.T) {
	tests := []struct{ url, token, want string }{
		{"http://192.0.2.1:8088", first, "in the clear"},
		{"ftp://localhost", first, "nothing else"},
		{"https://user:" + first + "@localhost", first, "nothing else"},
		{"https://localhost/services/collector", first, "nothing else"},
		{"https://localhost?token=" + first, first, "nothing else"},
		{"://" + first, first, "not a URL"},
		{"https://localhost", "", "no token"},
		{"https://localhost", first + " " + second, "line 1"},
		{"https://localhost", second + "\nshort", "line 2"},
		{"https://localhost", strings.Repeat("x", 64<<10) + "y", "larger"},
	}
	for _, tt := range tests {
		_, err := hec.New(hec.Config{Endpoints: []hec.Endpoint{{URL: tt.url}}, TokenFile: write(t, "t", tt.token)})
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), first) {
			t.Errorf("%s: %v, want %q", tt.url, err, tt.want)
		}
	}
	if _, err := hec.New(hec.Config{Endpoints: []hec.Endpoint{{URL: "https://localhost"}}, TokenFile: filepath.Join(t.TempDir(), "none")}); err == nil {
		t.Error("no token file is no error")
	}
	if _, err := hec.New(hec.Config{}); err == nil {
		t.Error("no endpoint is no error")
	}
}
