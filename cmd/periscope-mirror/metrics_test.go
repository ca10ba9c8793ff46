package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/mirror"
)

func TestTally(t *testing.T) {
	now := time.Date(2026, 11, 21, 9, 0, 10, 0, time.UTC)
	source := &mirror.Source{InterfaceID: "eni-1", Task: &mirror.Task{ARN: "arn:1", Created: now.Add(-3 * time.Second)}}
	session := mirror.Session{InterfaceID: "eni-1"}
	result := func(verb mirror.Verb, outcome mirror.Outcome, err error) mirror.Result {
		return mirror.Result{Action: mirror.Action{Verb: verb, Session: session, Source: source, Rule: "web"}, Outcome: outcome, Err: err}
	}
	e := event{hints: []mirror.Hint{{TaskARN: "arn:2"}}, at: now}
	var got tally
	got.add(&mirror.Report{Plan: &mirror.Plan{Held: make([]mirror.Held, 4)}, Results: []mirror.Result{
		result(mirror.Create, mirror.Done, nil),
		result(mirror.Create, mirror.Gone, mirror.ErrGone),
		result(mirror.Create, mirror.Delayed, nil),
		result(mirror.Create, mirror.Failed, errors.New("reset")),
		result(mirror.Create, mirror.Denied, fmt.Errorf("aws: %w", &mirror.Refusal{Code: "A", Message: "b <c>"})),
		result(mirror.Modify, mirror.Done, nil),
		result(mirror.Modify, mirror.Gone, mirror.ErrGone),
		result(mirror.Delete, mirror.Done, nil),
		result(mirror.Delete, mirror.Gone, mirror.ErrGone),
	}}, now, e.known())
	got.add(&mirror.Report{Plan: &mirror.Plan{Held: make([]mirror.Held, 2)}}, now, e.known())
	want := tally{
		Created: 1, Modified: 1, Deleted: 2, Refused: 1, Failed: 1, Held: 2, looked: true,
		seconds: []float64{3}, refusals: []refusal{{"A", "b <c>", "eni-1", "arn:1", "web"}},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%+v\nwant\n%+v", got, want)
	}
}

// An event about the task says when its interface was known; a clock that is behind
// makes no negative time.
func TestTallyKnown(t *testing.T) {
	created := time.Unix(1000, 0)
	source := &mirror.Source{Task: &mirror.Task{ARN: "arn:1", Created: created}}
	for name, test := range map[string]struct {
		event  event
		source *mirror.Source
		want   time.Time
	}{
		"its event":            {event{hints: []mirror.Hint{{TaskARN: "arn:1"}}, at: created.Add(5)}, source, created.Add(5)},
		"one without a time":   {event{hints: []mirror.Hint{{TaskARN: "arn:1"}}}, source, created},
		"another's event":      {event{hints: []mirror.Hint{{TaskARN: "arn:2"}}, at: created.Add(5)}, source, created},
		"a schedule":           {event{whole: true, at: created.Add(5)}, source, created},
		"an instance":          {event{whole: true, at: created.Add(5)}, &mirror.Source{Instance: &mirror.Instance{}}, time.Time{}},
		"no source":            {event{whole: true, at: created.Add(5)}, nil, time.Time{}},
		"a task without times": {event{whole: true}, &mirror.Source{Task: &mirror.Task{}}, time.Time{}},
	} {
		if got := test.event.known()(test.source); !got.Equal(test.want) {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
	var got tally
	r := mirror.Result{Action: mirror.Action{Verb: mirror.Create, Source: source}, Outcome: mirror.Done}
	e := event{whole: true}
	got.add(&mirror.Report{Plan: &mirror.Plan{}, Results: []mirror.Result{r}}, created.Add(-time.Second), e.known())
	if len(got.seconds) != 1 || got.seconds[0] != 0 {
		t.Errorf("%v", got.seconds)
	}
}

// A line of metrics has at most 100 values of one: there are more lines then.
func TestMetricsMany(t *testing.T) {
	for values, want := range map[int][]int{0: {0}, 1: {1}, 100: {100}, 101: {1, 100}, 250: {100, 50, 100}} {
		var out bytes.Buffer
		if err := writeTally(&out, time.UnixMilli(1700000000123), &tally{seconds: make([]float64, values)}); err != nil {
			t.Fatal(err)
		}
		var got []int
		for text := range strings.Lines(out.String()) {
			var line struct {
				SecondsToMirror []float64
				AWS             struct{ Timestamp int64 } `json:"_aws"`
			}
			if err := json.Unmarshal([]byte(text), &line); err != nil || line.AWS.Timestamp != 1700000000123 {
				t.Fatalf("%v: %s", err, text)
			}
			got = append(got, len(line.SecondsToMirror))
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%d values in lines of %v, want %v", values, got, want)
		}
	}
}

// What AWS says is a dimension's value only in what CloudWatch takes as one.
func TestMetricsRefusal(t *testing.T) {
	var out bytes.Buffer
	refused := tally{Refused: 2, refusals: []refusal{{code: "A.B", message: "no \"x\"\n<y>"}, {message: "no code"}}}
	if err := writeTally(&out, time.UnixMilli(1), &refused); err != nil {
		t.Fatal(err)
	}
	want := `{"Code":"A.B","Interface":"","Message":"no \"x\"\n<y>","Refused":1,"Rule":"","Task":"","_aws":{"CloudWatchMetrics":[{"Namespace":"Periscope","Dimensions":[["Code"]],"Metrics":[{"Name":"Refused","Unit":"Count"}]}],"Timestamp":1}}` + "\n"
	first, rest, _ := strings.Cut(out.String(), "\n")
	if !equalJSON(t, first, want) || !strings.Contains(rest, `"Code":"none"`) {
		t.Errorf("%s", &out)
	}
	if err := writeTally(brokenAfter(1), time.UnixMilli(1), &refused); err == nil {
		t.Error("an error was passed over")
	}
}

func equalJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	if err := errors.Join(json.Unmarshal([]byte(a), &x), json.Unmarshal([]byte(b), &y)); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(x) == fmt.Sprint(y)
}

// brokenAfter returns a writer that fails after so many lines.
func brokenAfter(lines int) io.Writer { return &limited{lines} }

type limited struct{ left int }

func (l *limited) Write(b []byte) (int, error) {
	if l.left == 0 {
		return 0, io.ErrShortWrite
	}
	l.left--
	return len(b), nil
}
