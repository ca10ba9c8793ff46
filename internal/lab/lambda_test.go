package lab_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/lab"
)

// schedule is the event of a rule with a rate.
const schedule = `{"version":"0","id":"89d1a02d-5ec7-412e-82f5-13505f849b41","detail-type":"Scheduled Event","source":"aws.events",` +
	`"account":"111122223333","time":"2026-01-15T10:00:00Z","region":"us-east-1","resources":["arn:aws:events:us-east-1:111122223333:rule/periscope-mirror"],"detail":{}}`

// A function is a Lambda function in three environments at once, each of which deals
// with some five events a second, and EventBridge before it: an event comes 0 to
// 500 ms late, one in ten never, one in five twice.
type function struct {
	events chan []byte // 4,096, more than a test has at once

	mu     sync.Mutex
	random *rand.Rand
	failed []string // what the function said of invocations that failed
	told   struct{ sent, lost, repeated, answered int }
}

// newFunction starts the program as Lambda does: with the address of its runtime
// API, from which it takes its events.
func newFunction(t *testing.T, program string, seed uint64, environ ...string) *function {
	f := &function{events: make(chan []byte, 4096), random: rand.New(rand.NewPCG(seed, 0))}
	api := httptest.NewServer(f.runtime())
	t.Cleanup(api.Close)
	for range 3 {
		var said lockedText
		cmd := exec.CommandContext(t.Context(), program)
		cmd.Env = append(append(os.Environ(), environ...), "AWS_LAMBDA_RUNTIME_API="+strings.TrimPrefix(api.URL, "http://"),
			"AWS_LAMBDA_FUNCTION_NAME=periscope-mirror", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=256", "AWS_LAMBDA_FUNCTION_VERSION=$LATEST")
		cmd.Stdout, cmd.Stderr = &said, &said
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			cmd.Process.Kill()
			cmd.Wait()
			if t.Failed() {
				t.Logf("the function said:\n%s", said.String())
			}
		})
	}
	return f
}

// tell has an event delivered, or not.
func (f *function) tell(event []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told.sent++
	if f.random.IntN(10) == 0 {
		f.told.lost++
		return
	}
	times := 1
	if f.random.IntN(5) == 0 {
		f.told.repeated++
		times = 2
	}
	for range times {
		late := time.Duration(f.random.Int64N(int64(500 * time.Millisecond)))
		time.AfterFunc(late, func() { f.events <- event })
	}
}

// every has an event delivered every so often until the test ends.
func (f *function) every(t *testing.T, period time.Duration, event []byte) {
	tick := time.NewTicker(period)
	done := make(chan struct{})
	t.Cleanup(func() { tick.Stop(); close(done) })
	go func() {
		for {
			select {
			case <-tick.C:
				f.events <- event
			case <-done:
				return
			}
		}
	}()
}

// settle waits until all events so far are dealt with, and three more.
func (f *function) settle(t *testing.T) {
	t.Helper()
	before := f.dealt()
	lab.Eventually(t, "the function deals with its events", func() bool { return f.dealt() >= before+3 && len(f.events) == 0 })
}

func (f *function) dealt() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.told.answered + len(f.failed)
}

// String says what became of the events.
func (f *function) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return fmt.Sprintf("events: %+v, failed: %q", f.told, f.failed)
}

// runtime is Lambda's runtime API.
func (f *function) runtime() http.Handler {
	const at = "/2018-06-01/runtime/"
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+at+"invocation/next", func(w http.ResponseWriter, r *http.Request) {
		select {
		case event := <-f.events:
			f.mu.Lock()
			id := fmt.Sprintf("%08x-0000-4000-8000-000000000000", f.random.Uint32())
			f.mu.Unlock()
			w.Header().Set("Lambda-Runtime-Aws-Request-Id", id)
			w.Header().Set("Lambda-Runtime-Deadline-Ms", fmt.Sprint(time.Now().Add(time.Minute).UnixMilli()))
			w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:111122223333:function:periscope-mirror")
			w.Header().Set("Content-Type", "application/json")
			w.Write(event)
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("POST "+at+"invocation/{id}/response", func(w http.ResponseWriter, _ *http.Request) {
		f.mu.Lock()
		f.told.answered++
		f.mu.Unlock()
		w.WriteHeader(http.StatusAccepted)
	})
	failed := func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		f.mu.Lock()
		f.failed = append(f.failed, string(b))
		f.mu.Unlock()
		w.WriteHeader(http.StatusAccepted)
	}
	mux.HandleFunc("POST "+at+"invocation/{id}/error", failed)
	mux.HandleFunc("POST "+at+"init/error", failed)
	return mux
}

// A lockedText keeps what programs print.
type lockedText struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
