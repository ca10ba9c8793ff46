package hec

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

const (
	page  = "<html><body>Request Entity Too Large</body></html>"
	token = "11111111-2222-3333-4444-555555555555"
)

func says(code int, more string) string {
	return fmt.Sprintf(`{"text":"x %s","code":%d%s}`, token, code, more)
}

func TestClassify(t *testing.T) {
	const at4 = `,"invalid-event-number":4`
	tests := []struct {
		name    string
		status  int
		body    string
		class   Class
		code    int
		invalid int
	}{
		{"0 success", 200, says(0, ""), Delivered, 0, -1},
		{"1 token disabled", 403, says(1, ""), HoldToken, 1, -1},
		{"2 token is required", 401, says(2, ""), HoldToken, 2, -1},
		{"3 invalid authorization", 401, says(3, ""), HoldToken, 3, -1},
		{"4 invalid token", 403, says(4, ""), HoldToken, 4, -1},
		{"5 no data", 400, says(5, ""), Split, 5, -1},
		{"6 format", 400, says(6, at4), Split, 6, 4},
		{"6 without number", 400, says(6, ""), Split, 6, -1},
		{"7 index is one off", 400, says(7, at4), HoldIndex, 7, -1},
		{"8 internal error", 500, says(8, ""), Retry, 8, -1},
		{"9 busy", 503, says(9, ""), Retry, 9, -1},
		{"9 busy at 4", 503, says(9, at4), Retry, 9, 4},
		{"9 busy at 0", 503, says(9, `,"invalid-event-number":0`), Retry, 9, -1},
		{"10 no channel", 400, says(10, ""), HoldConfig, 10, -1},
		{"11 bad channel", 400, says(11, ""), Retry, 11, -1},
		{"12 no event", 400, says(12, at4), Split, 12, 4},
		{"13 blank event", 400, says(13, at4), Split, 13, 4},
		{"14 no acknowledgement", 400, says(14, ""), HoldConfig, 14, -1},
		{"15 fields", 400, says(15, at4), Split, 15, 4},
		{"16 query string", 400, says(16, ""), HoldConfig, 16, -1},
		{"17 health for an event", 200, says(17, ""), Retry, 17, -1},
		{"18", 503, says(18, ""), Retry, 18, -1},
		{"19", 503, says(19, ""), Retry, 19, -1},
		{"20", 503, says(20, ""), Retry, 20, -1},
		{"21 invalid token", 400, says(21, ""), HoldToken, 21, -1},
		{"22 token disabled", 400, says(22, ""), HoldToken, 22, -1},
		{"23 shutting down", 503, says(23, ""), Retry, 23, -1},
		{"24 queue warning", 200, says(24, ""), Delivered, 24, -1},
		{"25 ack warning", 200, says(25, ""), Delivered, 25, -1},
		{"26 queue full", 429, says(26, ""), Retry, 26, -1},
		{"27 acks full", 429, says(27, ""), Retry, 27, -1},
		{"28 unknown code", 400, says(28, ""), Split, 28, -1},

		{"number of the first", 400, says(6, `,"invalid-event-number":0`), Split, 6, 0},
		{"number of the last", 400, says(6, `,"invalid-event-number":9`), Split, 6, 9},
		{"number beyond the last", 400, says(6, `,"invalid-event-number":10`), Split, 6, -1},
		{"number below 0", 400, says(6, `,"invalid-event-number":-1`), Split, 6, -1},
		{"number as text", 400, says(6, `,"invalid-event-number":"4"`), Split, 6, -1},
		{"number that overflows", 400, says(6, `,"invalid-event-number":99999999999999999999`), Split, 6, -1},

		{"success with an error status", 400, says(0, ""), Split, 0, -1},
		{"bad event with status 500", 500, says(6, at4), Retry, 6, -1},
		{"negative code", 400, says(-1, ""), HoldConfig, -1, -1},
		{"code as text", 400, `{"code":"6"}`, HoldConfig, -1, -1},
		{"json without code", 400, `{"message":"Bad Request"}`, HoldConfig, -1, -1},
		{"bare string", 400, `"Only \"POST\" method is supported"`, HoldConfig, -1, -1},
		{"truncated json", 400, `{"text":"Invalid data for`, Retry, -1, -1},
		{"truncated success", 200, `{"text":"Success","code":0`, Retry, -1, -1},
		{"page with status 200", 200, page, Retry, -1, -1},
		{"empty with status 200", 200, "", Retry, -1, -1},
		{"no content", 204, "", Retry, -1, -1},
		{"page 400", 400, page, HoldConfig, -1, -1},
		{"empty 400", 400, "", HoldConfig, -1, -1},
		{"page 413", 413, page, TooLarge, -1, -1},
		{"page 415", 415, page, HoldConfig, -1, -1},
		{"404 of Splunk", 404, `{"text":"The requested URL was not found on this server.","code":404}`, Retry, 404, -1},
		{"404 of a balancer", 404, page, Retry, -1, -1},
		{"405", 405, says(404, ""), HoldConfig, 404, -1},
		{"407", 407, "", HoldConfig, -1, -1},
		{"408", 408, "", Retry, -1, -1},
		{"301", 301, "", HoldConfig, -1, -1},
		{"307", 307, "", HoldConfig, -1, -1},
		{"500", 500, page, Retry, -1, -1},
		{"502", 502, page, Retry, -1, -1},
		{"503", 503, page, Retry, -1, -1},
		{"504", 504, page, Retry, -1, -1},
		{"401 echoes the token", 401, "scheme or token does not match: Splunk " + token, HoldToken, -1, -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := classify(answer{status: tt.status, body: []byte(tt.body)}, 10, noon)
			if o.Class != tt.class || o.Code != tt.code || o.Invalid != tt.invalid || o.HTTP != tt.status {
				t.Errorf("got %v, code %d, event %d, status %d; want %v, %d, %d", o.Class, o.Code, o.Invalid, o.HTTP, tt.class, tt.code, tt.invalid)
			}
			if (o.Err == nil) != (o.Class == Delivered) {
				t.Errorf("%v with error %v", o.Class, o.Err)
			}
			if strings.Contains(fmt.Sprintf("%+v", o), token) {
				t.Errorf("the outcome holds the token: %+v", o)
			}
		})
	}
}

func TestClassifyCompressed(t *testing.T) {
	tests := []struct {
		name string
		a    answer
		want Class
	}{
		{"page 400", answer{status: 400, body: []byte(page)}, PlainBody},
		{"page 415", answer{status: 415, body: []byte(page)}, PlainBody},
		{"text 400", answer{status: 400, body: []byte("gzip: invalid header")}, PlainBody},
		{"no data", answer{status: 400, body: []byte(says(5, ""))}, PlainBody},
		{"bad event", answer{status: 400, body: []byte(says(6, ""))}, Split},
		{"cut body", answer{status: 400, body: []byte(page), cut: true}, Retry},
		{"cut success", answer{status: 200, body: []byte(says(0, "")), cut: true}, Retry},
		{"first cookie", answer{status: 400, body: []byte(page), newCookie: true}, Retry},
	}
	for _, tt := range tests {
		tt.a.gzip = true
		if o := classify(tt.a, 10, noon); o.Class != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, o.Class, tt.want)
		}
	}
}

func TestClassifyBeside(t *testing.T) {
	if o := classify(answer{status: 200, body: []byte(says(0, `,"ackId":7`))}, 1, noon); o.AckID != 7 || o.Slow {
		t.Errorf("ack %d, slow %v", o.AckID, o.Slow)
	}
	for _, status := range []int{429, 503} {
		if o := classify(answer{status: status}, 1, noon); !o.Slow {
			t.Errorf("status %d is not slow", status)
		}
	}
	if o := classify(answer{status: 200, body: []byte(says(24, ""))}, 1, noon); !o.Slow {
		t.Error("code 24 is not slow")
	}
	if o := classify(answer{status: 200, body: []byte(page)}, 1, noon); !o.DupRisk {
		t.Error("a success that cannot be read may have stored the events")
	}
}

func TestRetryAfter(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "7": 7 * time.Second, "600": maxRetryAfter, "601": maxRetryAfter,
		"-1": 0, "soon": 0, "99999999999999999999": 0,
		noon.Add(30 * time.Second).Format(http.TimeFormat): 30 * time.Second,
		noon.Add(-time.Second).Format(http.TimeFormat):     0,
		noon.Add(time.Hour).Format(http.TimeFormat):        maxRetryAfter,
	} {
		if got := retryAfter(value, noon); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

func FuzzClassify(f *testing.F) {
	f.Add(200, []byte(says(0, `,"ackId":1`)), "", false)
	f.Add(400, []byte(says(6, `,"invalid-event-number":3`)), "5", true)
	f.Add(413, []byte(page), noon.Format(http.TimeFormat), true)
	f.Add(503, []byte(`{"code":9,"invalid-event-number":1e3}`), "x", false)
	f.Fuzz(func(t *testing.T, status int, body []byte, after string, gzip bool) {
		o := classify(answer{status: status, body: body, retryAfter: after, gzip: gzip}, 10, noon)
		if (o.Err == nil) != (o.Class == Delivered) || o.Class == Delivered && status != 200 {
			t.Errorf("%v of status %d: %v", o.Class, status, o.Err)
		}
		if o.Invalid < -1 || o.Invalid >= 10 || o.Invalid >= 0 && o.Class != Split && o.Class != Retry {
			t.Errorf("event %d of 10, %v", o.Invalid, o.Class)
		}
		if o.RetryAfter < 0 || o.RetryAfter > maxRetryAfter || o.AckID < -1 {
			t.Errorf("retry after %v, ack %d", o.RetryAfter, o.AckID)
		}
		if o.Err != nil && strings.ContainsAny(o.Err.Error(), "\r\n") {
			t.Errorf("more than a line: %q", o.Err)
		}
	})
}
