package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A runtimeAPI is the side of AWS Lambda that a function talks to, as documented in
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
type runtimeAPI struct {
	t       testing.TB
	server  *httptest.Server
	process *process
	next    chan invocation
	answers chan answer
	serial  int
}

type invocation struct {
	id       string
	payload  []byte
	deadline time.Time
}

// An answer is what the function said to an invocation.
type answer struct {
	id     string
	body   []byte
	failed bool
}

// A failure is the body of an answer that is an error.
type failure struct {
	Message string `json:"errorMessage"`
	Type    string `json:"errorType"`
}

// newFunction starts the program as the function of a Lambda of its own.
func newFunction(t testing.TB, dir string, environment ...string) *runtimeAPI {
	t.Helper()
	r := &runtimeAPI{t: t, next: make(chan invocation), answers: make(chan answer, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", r.serveNext)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", func(w http.ResponseWriter, q *http.Request) { r.take(w, q, false) })
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", func(w http.ResponseWriter, q *http.Request) { r.take(w, q, true) })
	mux.HandleFunc("/", func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		t.Errorf("%s %s: %s", q.Method, q.URL, body)
		http.NotFound(w, q)
	})
	r.server = httptest.NewServer(mux)
	t.Cleanup(func() {
		r.process.kill()
		r.server.CloseClientConnections()
		r.server.Close()
	})
	r.process = start(t, dir, append([]string{
		"AWS_LAMBDA_RUNTIME_API=" + strings.TrimPrefix(r.server.URL, "http://"), "AWS_LAMBDA_LOG_LEVEL=DEBUG",
	}, environment...))
	return r
}

func (r *runtimeAPI) serveNext(w http.ResponseWriter, q *http.Request) {
	select {
	case <-q.Context().Done():
	case i := <-r.next:
		h := w.Header()
		h.Set("Lambda-Runtime-Aws-Request-Id", i.id)
		h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(i.deadline.UnixMilli(), 10))
		h.Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:111122223333:function:periscope-mirror")
		h.Set("Lambda-Runtime-Trace-Id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0")
		h.Set("Content-Type", "application/json")
		_, _ = w.Write(i.payload) // the function may have ended
	}
}

func (r *runtimeAPI) take(w http.ResponseWriter, q *http.Request, failed bool) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		r.t.Error(err)
	}
	w.WriteHeader(http.StatusAccepted)
	fmt.Fprintln(w, `{"status":"OK"}`)
	r.answers <- answer{q.PathValue("id"), body, failed}
}

// invoke passes an event on, and returns what the function answers.
func (r *runtimeAPI) invoke(event []byte) answer {
	r.t.Helper()
	return r.invokeUntil(event, time.Now().Add(2*patience))
}

func (r *runtimeAPI) invokeUntil(event []byte, deadline time.Time) answer {
	r.t.Helper()
	r.serial++
	id := fmt.Sprintf("00000000-0000-4000-8000-%012d", r.serial)
	timeout := time.After(2 * patience)
	select {
	case r.next <- invocation{id, event, deadline}:
	case <-r.process.ended:
		r.t.Fatal("the function has ended")
	case <-timeout:
		r.t.Fatal("the function does not ask for an event")
	}
	select {
	case a := <-r.answers:
		if a.id != id {
			r.t.Fatalf("answered %s instead of %s", a.id, id)
		}
		return a
	case <-r.process.ended:
		r.t.Fatal("the function has ended")
	case <-timeout:
		r.t.Fatal("the function does not answer")
	}
	panic("not reached")
}

// do passes on an event that the function handles, and returns the tally that it
// answers.
func (r *runtimeAPI) do(event []byte) tally {
	r.t.Helper()
	a := r.invoke(event)
	var done tally
	if err := json.Unmarshal(a.body, &done); err != nil || a.failed {
		r.t.Fatalf("%v: %s", err, a.body)
	}
	return done
}

// fail passes on an event that is an error, and returns that.
func (r *runtimeAPI) fail(event []byte) string {
	r.t.Helper()
	a := r.invoke(event)
	var said failure
	if err := json.Unmarshal(a.body, &said); err != nil || !a.failed || said.Type == "" {
		r.t.Fatalf("%v: %s", err, a.body)
	}
	return said.Message
}

// lines returns the lines of metrics that the function has written: as many as are
// wanted, and if there are more by then, these too.
func (r *runtimeAPI) lines(want int) (lines []map[string]any) {
	r.t.Helper()
	eventually(r.t, fmt.Sprint(want, " lines of metrics"), func() bool { return strings.Count(r.process.stdout.String(), "\n") >= want })
	for text := range strings.Lines(r.process.stdout.String()) {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			r.t.Fatalf("%v: %q", err, text)
		}
		lines = append(lines, line)
	}
	return lines
}
