package receiver

import (
	"encoding/json"
	"fmt"
	"strings"

	"go.opentelemetry.io/collector/pdata/plog"
)

// An Event is one event as the receiver understood it.
type Event struct {
	Time       int64          `json:"time_us"` // microseconds since 1970; the receiver computes in floating point, this is rounded
	Host       string         `json:"host,omitempty"`
	Source     string         `json:"source,omitempty"`
	Sourcetype string         `json:"sourcetype,omitempty"`
	Index      string         `json:"index,omitempty"`
	Event      any            `json:"event"`            // as encoding/json gives a value: numbers are float64
	Fields     map[string]any `json:"fields,omitempty"` // indexed fields
}

// Parse returns an event of HEC, with a time of six decimals, as a receiver should
// understand it.
func Parse(event []byte) (Event, error) {
	var sent struct {
		Time json.Number
		Event
	}
	if err := json.Unmarshal(event, &sent); err != nil {
		return Event{}, err
	}
	seconds, micros, _ := strings.Cut(sent.Time.String(), ".")
	if _, err := fmt.Sscan(seconds+micros, &sent.Event.Time); err != nil || len(micros) != 6 {
		return Event{}, fmt.Errorf("time %q, want six decimals: %w", sent.Time, err)
	}
	if sent.Fields == nil {
		sent.Fields = map[string]any{}
	}
	return sent.Event, nil
}

// UID returns the event_uid, which is in the event or an indexed field, or "".
func (e *Event) UID() string {
	keys, _ := e.Event.(map[string]any)
	for _, from := range []map[string]any{keys, e.Fields} {
		if id, isText := from["event_uid"].(string); isText {
			return id
		}
	}
	return ""
}

// events returns the events of a request.
func events(l plog.Logs) []Event {
	var es []Event
	for _, resource := range l.ResourceLogs().All() {
		attributes := resource.Resource().Attributes().AsRaw()
		text := func(name string) string { s, _ := attributes[name].(string); return s }
		for _, scope := range resource.ScopeLogs().All() {
			for _, r := range scope.LogRecords().All() {
				es = append(es, Event{
					Time:       int64(r.Timestamp()+500) / 1000,
					Host:       text("host.name"),
					Source:     text("com.splunk.source"),
					Sourcetype: text("com.splunk.sourcetype"),
					Index:      text("com.splunk.index"),
					Event:      r.Body().AsRaw(),
					Fields:     r.Attributes().AsRaw(),
				})
			}
		}
	}
	return es
}
