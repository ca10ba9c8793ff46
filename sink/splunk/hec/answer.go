package hec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// maxRetryAfter bounds how long an endpoint can make us wait.
const maxRetryAfter = 10 * time.Minute

// A code is a row of Splunk's table of HEC answers.
type code struct {
	http    int
	text    string
	class   Class // with status 400
	pointer bool  // invalid-event-number is that of the bad event
}

// codes are those of Splunk 10.4. Code 7 gives the number of the event after the
// bad one, so its number is not used.
var codes = [...]code{
	0:  {200, "success", Delivered, false},
	1:  {403, "token disabled", HoldToken, false},
	2:  {401, "token is required", HoldToken, false},
	3:  {401, "invalid authorization", HoldToken, false},
	4:  {403, "invalid token", HoldToken, false},
	5:  {400, "no data", Split, false},
	6:  {400, "invalid data format", Split, true},
	7:  {400, "incorrect index", HoldIndex, false},
	8:  {500, "internal server error", Retry, false},
	9:  {503, "server is busy", Retry, true},
	10: {400, "data channel is missing", HoldConfig, false},
	11: {400, "invalid data channel", Retry, false},
	12: {400, "event field is required", Split, true},
	13: {400, "event field cannot be blank", Split, true},
	14: {400, "acknowledgement is disabled", HoldConfig, false},
	15: {400, "error in handling indexed fields", Split, true},
	16: {400, "query string authorization is not enabled", HoldConfig, false},
	17: {200, "healthy", Delivered, false},
	18: {503, "unhealthy, queues are full", Retry, false},
	19: {503, "unhealthy, acknowledgement service unavailable", Retry, false},
	20: {503, "unhealthy, queues are full, acknowledgement service unavailable", Retry, false},
	21: {400, "invalid token", HoldToken, false},
	22: {400, "token disabled", HoldToken, false},
	23: {503, "server is shutting down", Retry, false},
	24: {200, "success, queue is approaching its capacity", Delivered, false},
	25: {200, "success, acknowledgements are approaching their capacity", Delivered, false},
	26: {429, "queue is at capacity", Retry, false},
	27: {429, "acknowledgement channel is at capacity", Retry, false},
}

// Codes used by name.
const (
	codeNoData     = 5
	codeBusy       = 9
	codeBadChannel = 11
	codeNoToken    = 21 // of a health check
	codeTokenOff   = 22 // of one
	codeQueueWarn  = 24
	codeAckWarn    = 25
)

// CodeText says in plain words what code means, with "" for one that Splunk does
// not have.
func CodeText(code int) string {
	if code < 0 || code >= len(codes) {
		return ""
	}
	return codes[code].text
}

// An answer is what came back for a request. Its body is at most 64 KiB.
type answer struct {
	status     int
	retryAfter string
	body       []byte
	cut        bool // the body ended early or is longer
	gzip       bool // the request was compressed
	newCookie  bool // the answer sets the first cookies of this endpoint
}

// A reply is what an answer's body says.
type reply struct {
	Code    *int            `json:"code"`
	Invalid json.RawMessage `json:"invalid-event-number"`
	AckID   json.RawMessage `json:"ackId"`
}

// codeOf returns the code in a body, -1 without one.
func codeOf(body []byte) int {
	var r reply
	if json.Unmarshal(body, &r) != nil || r.Code == nil {
		return -1
	}
	return *r.Code
}

// number reads a member that is a whole number from 0 on, or returns -1.
func number(raw json.RawMessage) int64 {
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// classify maps an answer for a request of so many events. The status decides;
// the code does where the status is 400 or 200. An answer that cannot be read to
// its end keeps the events.
func classify(a answer, events int, now time.Time) Outcome {
	o := Outcome{HTTP: a.status, Code: -1, Invalid: -1, AckID: -1}
	var r reply
	readable := !a.cut && json.Unmarshal(a.body, &r) == nil && r.Code != nil && *r.Code >= 0
	if readable {
		o.Code = *r.Code
	}
	switch {
	case a.status == http.StatusOK:
		o.Class = classifyOK(&o)
	case a.status == http.StatusBadRequest:
		o.Class = classifyBad(a, o.Code)
	default:
		o.Class = classifyStatus(a.status)
	}
	if o.Class == PlainBody && !a.gzip {
		o.Class = HoldConfig
	}
	if o.Class == Delivered {
		o.AckID = number(r.AckID)
	}
	if n := number(r.Invalid); o.Code >= 0 && o.Code < len(codes) && codes[o.Code].pointer && n >= 0 && n < int64(events) {
		if o.Class == Split || o.Class == Retry && o.Code == codeBusy && n > 0 {
			o.Invalid = int(n)
		}
	}
	o.RetryAfter = retryAfter(a.retryAfter, now)
	o.Slow = a.status == http.StatusTooManyRequests || a.status == http.StatusServiceUnavailable ||
		o.Class == Delivered && o.Code != 0
	if o.Class != Delivered {
		o.Err = o.explain(a)
	}
	return o
}

// classifyOK takes for success only what says so: a page with status 200 that is
// not of an HEC stored nothing.
func classifyOK(o *Outcome) Class {
	switch o.Code {
	case 0, codeQueueWarn, codeAckWarn:
		return Delivered
	}
	o.DupRisk = true
	return Retry
}

// classifyBad maps an answer with status 400.
func classifyBad(a answer, code int) Class {
	body := bytes.TrimSpace(a.body)
	switch {
	case code == codeNoData && a.gzip:
		return PlainBody
	case code >= 0 && code < len(codes) && codes[code].class != Delivered:
		return codes[code].class
	case code >= 0:
		return Split
	case a.cut, len(body) > 0 && body[0] == '{' && !json.Valid(body):
		return Retry
	case a.newCookie: // Splunk can require a balancer's cookie
		return Retry
	case a.gzip:
		return PlainBody
	}
	// What answers so is no HEC, such as a TLS port spoken to without TLS: to
	// split would set aside every event there is.
	return HoldConfig
}

// classifyStatus maps every status but 200 and 400.
func classifyStatus(status int) Class {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return HoldToken
	case http.StatusNotFound, // a rolling restart, or maintenance
		http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return Retry
	case http.StatusRequestEntityTooLarge:
		return TooLarge
	case http.StatusUnsupportedMediaType:
		return PlainBody
	}
	if status >= 300 && status < 500 {
		return HoldConfig
	}
	return Retry
}

// hints say what to do about a class.
var hints = map[Class]string{
	HoldToken:  "check the token file against the tokens of the server",
	HoldIndex:  "make the index, or allow it for the token",
	HoldConfig: "check the URL and what is between",
	TooLarge:   "send less at once",
}

// explain says in one line what the answer was, in words of this package only.
func (o *Outcome) explain(a answer) error {
	what := "no HEC answer"
	switch text := CodeText(o.Code); {
	case text != "":
		what = fmt.Sprintf("code %d, %s", o.Code, text)
	case o.Code >= 0:
		what = fmt.Sprintf("unknown code %d", o.Code)
	case a.cut:
		what = "answer cut short"
	}
	if o.Invalid >= 0 {
		what += fmt.Sprintf(", at event %d", o.Invalid)
	}
	if hint := hints[o.Class]; hint != "" {
		what += "; " + hint
	}
	return fmt.Errorf("status %d, %s", a.status, what)
}

// retryAfter reads a Retry-After header (RFC 9110, section 10.2.3), seconds or a
// date, as a time from now between 0 and maxRetryAfter.
func retryAfter(value string, now time.Time) time.Duration {
	var d time.Duration
	if s, err := strconv.ParseUint(value, 10, 31); err == nil {
		d = time.Duration(s) * time.Second
	} else if t, err := http.ParseTime(value); err == nil {
		d = t.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}
