package hec_test

import (
	"encoding/pem"
	"log/slog"
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
	tests := []struct{ url, want string }{
		{"http://192.0.2.1:8088", "in the clear"},
		{"ftp://localhost", "nothing else"},
		{"https://user:" + first + "@localhost", "nothing else"},
		{"https://localhost/services/collector", "nothing else"},
		{"https://localhost?token=" + first, "nothing else"},
		{"://" + first, "not a URL"},
	}
	for _, tt := range tests {
		_, err := hec.New(hec.Config{Endpoints: []hec.Endpoint{{URL: tt.url}}, TokenFile: write(t, "t", first)})
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), first) {
			t.Errorf("%s: %v, want %q", tt.url, err, tt.want)
		}
	}
	if _, err := hec.New(hec.Config{}); err == nil {
		t.Error("no endpoint is no error")
	}
}
