package capture

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// TestReportTellsOfSteering where there is more than one socket to steer to.
func TestReportTellsOfSteering(t *testing.T) {
	for _, tt := range []struct {
		group Group
		want  []string
	}{
		{Group{Sockets: 1}, []string{"level=INFO", "msg=listening "}},
		{Group{Sockets: 2, Steered: true}, []string{"level=INFO", "msg=listening ", "steered_by_inner_flow=true"}},
		{Group{Sockets: 2}, []string{"level=WARN", "does not steer", "steered_by_inner_flow=false"}},
	} {
		var log bytes.Buffer
		tt.group.report(slog.New(slog.NewTextHandler(&log, nil)))
		for _, want := range tt.want {
			if !strings.Contains(log.String(), want) {
				t.Errorf("%d sockets: %q lacks %q", tt.group.Sockets, &log, want)
			}
		}
		if tt.group.Sockets == 1 && strings.Contains(log.String(), "steer") {
			t.Errorf("one socket: %q", &log)
		}
	}
}
