package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/periscope-collector/periscope/mirror"
)

// namespace is that of all metrics.
const namespace = "Periscope"

// A metric is one of a line: a number, or a list of at most maxValues.
type metric struct {
	name, unit string
	value      any
}

// maxValues is how many values a metric may have in a line.
const maxValues = 100

// writeMetrics writes a line in CloudWatch's embedded metric format, from which
// CloudWatch takes metrics: one value for each combination of the dimensions, which
// are names of properties. Others are there to be searched for.
//
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
func writeMetrics(w io.Writer, at time.Time, metrics []metric, dimensions []string, properties map[string]string) error {
	type definition struct{ Name, Unit string }
	line := map[string]any{}
	var definitions []definition
	for _, m := range metrics {
		definitions = append(definitions, definition{m.name, m.unit})
		line[m.name] = m.value
	}
	for name, value := range properties {
		line[name] = value
	}
	line["_aws"] = map[string]any{
		"Timestamp": at.UnixMilli(),
		"CloudWatchMetrics": []any{map[string]any{
			"Namespace": namespace, "Dimensions": [][]string{append([]string{}, dimensions...)}, "Metrics": definitions,
		}},
	}
	data, err := json.Marshal(line)
	if err != nil {
		return err
	}
	_, err = w.Write(append(data, '\n'))
	return err
}

// writeTally writes what an invocation did: a line for each refusal, with what AWS
// said, and one with all counts, for which SecondsToMirror may need more.
func writeTally(w io.Writer, at time.Time, t *tally) error {
	for _, r := range t.refusals {
		properties := map[string]string{
			"Code": cmp.Or(r.code, "none"), "Message": r.message, "Interface": r.iface, "Task": r.task, "Rule": r.rule,
		}
		if err := writeMetrics(w, at, []metric{{"Refused", "Count", 1}}, []string{"Code"}, properties); err != nil {
			return err
		}
	}
	metrics := []metric{
		{"Created", "Count", t.Created}, {"Modified", "Count", t.Modified}, {"Deleted", "Count", t.Deleted},
		{"Refused", "Count", t.Refused}, {"Held", "Count", t.Held}, {"Failed", "Count", t.Failed},
	}
	if t.looked {
		metrics = append(metrics, metric{"Sessions", "Count", t.Sessions})
	}
	if t.whole {
		metrics = append(metrics, metric{"Sources", "Count", t.Sources})
	}
	first := t.seconds[:min(len(t.seconds), maxValues)]
	if len(first) > 0 {
		metrics = append(metrics, metric{"SecondsToMirror", "Seconds", first})
	}
	for more := range slices.Chunk(t.seconds[len(first):], maxValues) {
		if err := writeMetrics(w, at, []metric{{"SecondsToMirror", "Seconds", more}}, nil, nil); err != nil {
			return err
		}
	}
	return writeMetrics(w, at, metrics, nil, nil)
}

// A tally is what became of the rounds of an invocation. As JSON it is what the
// invocation answers.
type tally struct {
	Created  int `json:"created"`
	Modified int `json:"modified"`
	Deleted  int `json:"deleted"`
	Refused  int `json:"refused"`
	Held     int `json:"held"`     // after the last round, of what that looked at
	Failed   int `json:"failed"`   // calls, or 1 if it came to none
	Sessions int `json:"sessions"` // of the owner, at the last look
	Sources  int `json:"sources"`  // that rules want mirrored, if everything was looked at

	looked, whole bool
	seconds       []float64 // from when the interface was known to its session
	refusals      []refusal
}

// A refusal is one of AWS, verbatim, with what it was about.
type refusal struct{ code, message, iface, task, rule string }

// add counts a round, which is over at a time. known says since when a source was
// known, if that is known.
func (t *tally) add(r *mirror.Report, at time.Time, known func(*mirror.Source) time.Time) {
	t.looked, t.Held = true, len(r.Plan.Held)
	for i := range r.Results {
		result := &r.Results[i]
		switch result.Outcome {
		case mirror.Denied:
			t.Refused++
			t.refusals = append(t.refusals, refusalOf(result))
		case mirror.Failed:
			t.Failed++
		case mirror.Done, mirror.Gone:
			t.done(result, at, known)
		}
	}
}

func (t *tally) done(r *mirror.Result, at time.Time, known func(*mirror.Source) time.Time) {
	switch {
	case r.Action.Verb == mirror.Delete: // one that is gone is as good
		t.Deleted++
	case r.Outcome == mirror.Gone:
	case r.Action.Verb == mirror.Modify:
		t.Modified++
	default:
		t.Created++
		if since := known(r.Action.Source); !since.IsZero() {
			t.seconds = append(t.seconds, max(0, at.Sub(since).Seconds()))
		}
	}
}

func refusalOf(r *mirror.Result) refusal {
	said := refusal{message: r.Err.Error(), iface: r.Action.Session.InterfaceID, rule: r.Action.Rule}
	if verbatim, ok := errors.AsType[*mirror.Refusal](r.Err); ok {
		said.code, said.message = verbatim.Code, verbatim.Message
	}
	if s := r.Action.Source; s != nil && s.Task != nil {
		said.task = s.Task.ARN
	}
	return said
}
