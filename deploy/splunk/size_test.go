package splunk_test

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/record"
	"github.com/periscope-collector/periscope/sink/splunk/hec"
)

const (
	page = "../../docs/splunk.md"

	measured  = 20_000  // events of each kind
	bodyBytes = 900_000 // of a request, before gzip
)

// TestSizes holds the page's bytes per event against what is encoded, within 3 %,
// and its GB a day against these bytes.
func TestSizes(t *testing.T) {
	type appender func(*record.Events, *packet.Flow, []byte) []byte
	flow := func(e *record.Events, r *packet.Flow, uid []byte) []byte { return e.AppendFlow(nil, r, uid) }
	line := func(e *record.Events, r *packet.Flow, uid []byte) []byte { return e.AppendVPCFlow(nil, r, 0, uid) }
	for _, kind := range []struct {
		row  string
		who  who
		next appender
	}{
		{"flow of an unknown session", unknownSession, flow},
		{"flow of an instance", instance, flow},
		{"flow of an ECS task", task, flow},
		{"line of flow logs, version 2", instance, line},
		{"frame of an unknown session", unknownSession, frame},
		{"frame of an instance", instance, frame},
		{"frame of an ECS task", task, frame},
	} {
		event, envelope, sent := measure(t, kind.who, kind.next)
		t.Logf("%s: %.0f bytes indexed, %.0f in the envelope, %.1f sent", kind.row, event, envelope, sent)
		got := row(t, kind.row)
		for i, want := range []float64{event, envelope, sent} {
			if math.Abs(got[i]-want) > 0.03*want {
				t.Errorf("%s, column %d: the page says %v, measured is %.1f", kind.row, i+1, got[i], want)
			}
		}
	}
	flowBytes := row(t, "flow of an ECS task")[0]
	for _, rate := range []string{"100", "1,000", "10,000", "20,000"} {
		got := row(t, rate+" flows/s")
		perDay := number(t, rate) * 86400 * flowBytes / 1e9
		if math.Abs(got[0]-perDay) > 0.05*perDay {
			t.Errorf("%s flows/s: the page says %v GB a day, it is %.1f", rate, got[0], perDay)
		}
	}
}

// TestSpoolHours holds the page's hours of an outage: 15/16 of the spool, by the
// bytes of an envelope and the 16 that the spool adds.
func TestSpoolHours(t *testing.T) {
	envelope := row(t, "flow of an ECS task")[1]
	for _, rate := range []string{"100", "1,000", "10,000", "20,000"} {
		got := row(t, rate+" flows/s")
		for i, gib := range []float64{4, 64} {
			hours := 15.0 / 16 * gib * (1 << 30) / (envelope + 16) / number(t, rate) / 3600
			if math.Abs(got[i+1]-hours) > 0.05*hours {
				t.Errorf("%s flows/s, %v GiB: the page says %v h, it is %.2f", rate, gib, got[i+1], hours)
			}
		}
	}
}

// TestCodes holds the page's table of HEC codes: all that Splunk has, in order.
func TestCodes(t *testing.T) {
	text := read(t)
	for code := 0; ; code++ {
		meaning := hec.CodeText(code)
		found := strings.Contains(text, fmt.Sprintf("\n| %d | %s |", code, meaning))
		if meaning == "" {
			if regexp.MustCompile(fmt.Sprintf(`\n\| %d \| [a-z]`, code)).MatchString(text) {
				t.Errorf("code %d is on the page", code)
			}
			return
		}
		if !found {
			t.Errorf("code %d, %s, is not on the page", code, meaning)
		}
	}
}

// TestExamples: the configuration that the page shows is one, each block alone.
func TestExamples(t *testing.T) {
	blocks := regexp.MustCompile("(?s)\\n( *)```yaml\n(.*?)```").FindAllStringSubmatch(read(t), -1)
	if len(blocks) < 3 {
		t.Fatalf("%d blocks", len(blocks))
	}
	for _, block := range blocks {
		indent, text := "\n"+block[1], "\n"+strings.TrimSuffix(block[2], block[1])
		text = strings.ReplaceAll(text, indent, "\n")
		if !strings.HasPrefix(text, "\nsinks:") {
			text = "\nsinks:\n  splunk:\n    token_file: hec.token" + strings.ReplaceAll(text, "\n", "\n    ")
			if !strings.Contains(text, "endpoints:") {
				text += "\n    endpoints: [https://hec.example.com:8088]"
			}
		}
		path := filepath.Join(t.TempDir(), "periscope.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := config.Load(path); err != nil {
			t.Errorf("%v, of%s", err, text)
		}
	}
}

// measure returns bytes per event: of the event itself, which is what a license
// counts, of the envelope, and of the compressed body.
func measure(t *testing.T, who who, next func(*record.Events, *packet.Flow, []byte) []byte) (event, envelope, sent float64) {
	t.Helper()
	encoder := record.NewEvents(record.EventConfig{Host: "ip-10-0-3-17.eu-central-1.compute.internal", Collector: "fra-1"})
	made := newFlows(who)
	var events, envelopes, wire int
	var body bytes.Buffer
	flush := func() {
		wire += compressed(t, body.Bytes())
		body.Reset()
	}
	for i := range measured {
		uid := fmt.Appendf(nil, "0123456789abcdef-%x-%x", 17, i*1000)
		line := next(encoder, made.next(), uid)
		if body.Len()+len(line) > bodyBytes {
			flush()
		}
		body.Write(append(line, '\n'))
		envelopes += len(line)
		_, inner, _ := bytes.Cut(line, []byte(`"event":`))
		inner, _, _ = bytes.Cut(inner, []byte(`,"fields":`))
		events += len(inner)
	}
	flush()
	return float64(events) / measured, float64(envelopes) / measured, float64(wire) / measured
}

// frame appends the event of a flow's first frame.
func frame(e *record.Events, r *packet.Flow, uid []byte) []byte {
	var f record.Frame
	side := &r.Side[0]
	length := side.Bytes / side.Packets
	f.Set(&packet.Frame{
		Data: make([]byte, 14+length), Length: int(14 + length), Time: side.First,
		Source: r.Source, Direction: side.Direction, Session: r.Session,
		Header: packet.Header{
			Network: 14, Transport: 34, Payload: 54, Version: 4, IPLength: uint32(length), FragmentID: uint32(side.First & 0xffff),
			Protocol: r.Protocol, TCPFlags: side.TCPFlags, Src: r.Addr[0], Dst: r.Addr[1], SrcPort: r.Port[0], DstPort: r.Port[1],
		},
	}, 0)
	return e.AppendFrame(nil, &f, uid)
}

func compressed(t *testing.T, body []byte) int {
	t.Helper()
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(body) // errors stick, and Close returns them
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Len()
}

func read(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// row returns the numbers of a row of the page's tables.
func row(t *testing.T, name string) (numbers []float64) {
	t.Helper()
	_, text, found := strings.Cut(read(t), "\n| "+name+" |")
	if !found {
		t.Fatalf("%s has no row %q", page, name)
	}
	text, _, _ = strings.Cut(text, "\n")
	for cell := range strings.SplitSeq(strings.TrimSuffix(text, "|"), "|") {
		numbers = append(numbers, number(t, cell))
	}
	return numbers
}

func number(t *testing.T, cell string) float64 {
	t.Helper()
	n, err := strconv.ParseFloat(strings.ReplaceAll(strings.TrimSpace(cell), ",", ""), 64)
	if err != nil {
		t.Fatalf("%s: %v", page, err)
	}
	return n
}
