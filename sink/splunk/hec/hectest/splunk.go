package hectest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// take answers as Splunk does, and keeps what comes before a bad event.
func (s *Server) take(r *http.Request, body []byte) Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, ok := s.authorize(r); !ok {
		return a
	}
	ch := s.acks.channel(r)
	if s.acks.On && ch == nil {
		return answer(400, "Data channel is missing", 10)
	}
	if s.acks.On && s.acks.Cap > 0 && len(ch.asked) >= s.acks.Cap {
		return answer(429, "HEC ACK channel is at capacity and cannot process any more requests", 27)
	}
	switch r.Header.Get("Content-Encoding") {
	case "":
	case "gzip":
		zr, err := gzip.NewReader(bytes.NewReader(body))
		if err == nil {
			body, err = io.ReadAll(zr)
		}
		if err != nil {
			return page(400)
		}
	default:
		return page(415)
	}
	if s.limit > 0 && len(body) > s.limit {
		return page(413)
	}
	events, a := s.read(body)
	s.events = append(s.events, events...)
	if s.acks.On && a.Status == 200 {
		a.Body = fmt.Sprintf(`{"text":"Success","code":0,"ackId":%d}`, ch.add())
	}
	return a
}

func (s *Server) authorize(r *http.Request) (Answer, bool) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Splunk ")
	switch {
	case r.Header.Get("Authorization") == "":
		return answer(401, "Token is required", 2), false
	case !ok:
		return answer(401, "Invalid authorization", 3), false
	case !slices.Contains(s.tokens, token):
		return answer(403, "Invalid token", 4), false
	}
	return Answer{}, true
}

// read takes the events apart up to the first bad one.
func (s *Server) read(body []byte) ([][]byte, Answer) {
	var events [][]byte
	d := json.NewDecoder(bytes.NewReader(body))
	for n := 0; ; n++ {
		var raw json.RawMessage
		var e struct {
			Event  any
			Fields map[string]any
			Index  string
		}
		err := d.Decode(&raw)
		if err == io.EOF {
			break
		}
		if err == nil {
			err = json.Unmarshal(raw, &e)
		}
		switch {
		case err != nil:
			return events, answerAt("Invalid data format", 6, n)
		case !bytes.Contains(raw, []byte(`"event"`)):
			return events, answerAt("Event field is required", 12, n)
		case e.Event == nil || e.Event == "":
			return events, answerAt("Event field cannot be blank", 13, n)
		case nested(e.Fields):
			return events, answerAt("Error in handling indexed fields", 15, n)
		case e.Index != "" && len(s.indexes) > 0 && !slices.Contains(s.indexes, e.Index):
			return nil, answerAt("Incorrect index", 7, n+1)
		}
		events = append(events, raw)
	}
	if len(events) == 0 {
		return nil, answer(400, "No data", 5)
	}
	return events, answer(200, "Success", 0)
}

func nested(fields map[string]any) bool {
	for _, v := range fields {
		if _, ok := v.(map[string]any); ok {
			return true
		}
	}
	return false
}
