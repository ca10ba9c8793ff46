package awsapi_test

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/awsapi"
	"github.com/periscope-collector/periscope/internal/leak"
)

func TestMain(m *testing.M) { leak.Check(m) }

// Credentials of the tests, which must be found nowhere.
const (
	keyID  = "AKIAIOSFODNN7EXAMPLE"
	secret = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY00"
	token  = "FwoGZXIvYXdzEXAMPLETOKENexampletokenEXAMPLE=="
)

// An answer is what the endpoint says once. Errors have the shape of EC2's, or of
// ECS's for its operations.
type answer struct {
	status int    // 0 is 200
	body   string // literal
	code   string // of an error, with message
	text   string
	hang   bool // until the request is given up
	echo   bool // the message repeats the request's headers
}

// A request is one that the endpoint saw.
type request struct {
	operation string
	form      url.Values // EC2 and STS
	json      string     // ECS
	header    http.Header
}

// An endpoint answers operations as told, the last answer again and again. It
// stands for answers that no correct service gives; awsfake stands for those that
// are correct.
type endpoint struct {
	*httptest.Server
	mu      sync.Mutex
	answers map[string][]answer
	seen    []request
	log     bytes.Buffer
}

// serve starts an endpoint and makes it the SDK's, with static credentials and
// without instance metadata.
func serve(t *testing.T, answers map[string][]answer) *endpoint {
	t.Helper()
	e := &endpoint{answers: answers}
	e.Server = httptest.NewServer(e)
	t.Cleanup(e.Close)
	e.use(t)
	return e
}

func (e *endpoint) use(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": e.URL, "AWS_REGION": "eu-central-1", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_ACCESS_KEY_ID": keyID, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token,
		"AWS_CONFIG_FILE": none, "AWS_SHARED_CREDENTIALS_FILE": none, "AWS_PROFILE": "",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "",
		"AWS_WEB_IDENTITY_TOKEN_FILE": "", "AWS_CA_BUNDLE": "", "HTTP_PROXY": "", "http_proxy": "",
	} {
		t.Setenv(name, value)
	}
}

// client returns the first client of cfg, which retries at once.
func (e *endpoint) client(t *testing.T, cfg awsapi.Config) *awsapi.Client {
	t.Helper()
	return e.clients(t, cfg)[0]
}

func (e *endpoint) clients(t *testing.T, cfg awsapi.Config) []*awsapi.Client {
	t.Helper()
	cfg.RatePerSecond = cmp.Or(cfg.RatePerSecond, 1e6)
	cfg.Timeout = cmp.Or(cfg.Timeout, patience)
	cfg.Log = slog.New(slog.NewTextHandler(&e.log, nil))
	clients := awsapi.Open(cfg)
	for _, c := range clients {
		c.Hasty(time.Millisecond)
		t.Cleanup(c.Close)
	}
	return clients
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	seen := request{header: r.Header}
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		seen.operation, seen.json = target[strings.LastIndex(target, ".")+1:], string(body)
	} else {
		seen.form, _ = url.ParseQuery(string(body))
		seen.operation = cmp.Or(seen.form.Get("Action"), s3Operation(r))
	}
	e.mu.Lock()
	e.seen = append(e.seen, seen)
	left := e.answers[seen.operation]
	if len(left) > 1 {
		e.answers[seen.operation] = left[1:]
	}
	e.mu.Unlock()
	if len(left) == 0 {
		left = []answer{{status: 400, code: "InvalidAction", text: "no answer is set for " + seen.operation}}
	}
	shape := ec2Error
	switch {
	case seen.json != "":
		shape = ecsError
	case seen.form.Get("Version") == "2011-06-15":
		shape = stsError
	}
	left[0].write(w, r, shape)
}

func s3Operation(r *http.Request) string {
	if r.URL.Query().Get("list-type") == "2" {
		return "ListObjectsV2"
	}
	return r.URL.Query().Get("x-id")
}

// How the services say what is wrong: a code, and a message.
const (
	ec2Error = `<Response><Errors><Error><Code>%s</Code><Message>%s</Message></Error></Errors><RequestID>0</RequestID></Response>`
	ecsError = `{"__type":"%s","message":"%s"}`
	stsError = `<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error></ErrorResponse>`
)

func (a answer) write(w http.ResponseWriter, r *http.Request, shape string) {
	if a.hang {
		<-r.Context().Done()
		return
	}
	if a.echo {
		a.text += r.Header.Get("Authorization") + " "
		var headers strings.Builder
		_ = r.Header.Write(&headers)
		a.text += strings.ReplaceAll(headers.String(), "\r\n", " ")
	}
	if a.code != "" {
		a.body = fmt.Sprintf(shape, a.code, a.text)
	}
	w.WriteHeader(cmp.Or(a.status, 200))
	_, _ = io.WriteString(w, a.body)
}

// requests returns those of an operation.
func (e *endpoint) requests(operation string) []request {
	e.mu.Lock()
	defer e.mu.Unlock()
	var found []request
	for _, r := range e.seen {
		if r.operation == operation {
			found = append(found, r)
		}
	}
	return found
}

// page is an answer of EC2: a set of items, and the token of the next page.
func page(operation, set, next string, items ...string) answer {
	body := "<" + operation + "Response><requestId>0</requestId><" + set + ">"
	for _, item := range items {
		body += "<item>" + item + "</item>"
	}
	body += "</" + set + ">"
	if next != "" {
		body += "<nextToken>" + next + "</nextToken>"
	}
	return answer{body: body + "</" + operation + "Response>"}
}
