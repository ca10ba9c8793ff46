package splunk

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"

	"github.com/periscope-collector/periscope/sink/splunk/hec/hectest"
)

// A picky server finds some flows bad. As Splunk does, it takes those before the
// first bad one and says which that is; or, as others do, it takes none and says
// nothing.
type picky struct {
	behind *hectest.Server
	quiet  bool
	bad    []int
}

// makePicky makes a server picky, before it is asked anything.
func makePicky(server *hectest.Server, quiet bool, bad ...int) {
	server.Config.Handler = &picky{server, quiet, bad}
}

// number returns the number of a flow's event, -1 if it is none.
func number(envelope []byte) int {
	a := struct {
		Event struct {
			Bytes int `json:"bytes_in"`
		}
	}{}
	a.Event.Bytes = -1
	json.Unmarshal(envelope, &a)
	return a.Event.Bytes
}

func (p *picky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != "/services/collector/event" {
		p.behind.ServeHTTP(w, r)
		return
	}
	events, err := events(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	bad := slices.IndexFunc(events, func(e json.RawMessage) bool { return slices.Contains(p.bad, number(e)) })
	good := events
	switch {
	case bad >= 0 && p.quiet:
		good = nil
	case bad >= 0:
		good = events[:bad]
	}
	into := w
	if bad >= 0 {
		into = httptest.NewRecorder()
	}
	if len(good) > 0 {
		body := bytes.Join(raw(good), []byte("\n"))
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		r.Header.Del("Content-Encoding")
		p.behind.ServeHTTP(into, r)
	}
	if bad < 0 {
		return
	}
	w.WriteHeader(http.StatusBadRequest)
	if p.quiet {
		fmt.Fprint(w, `{"text":"Invalid data format","code":6}`)
		return
	}
	fmt.Fprintf(w, `{"text":"Invalid data format","code":6,"invalid-event-number":%d}`, bad)
}

func raw(events []json.RawMessage) (list [][]byte) {
	for _, e := range events {
		list = append(list, e)
	}
	return list
}

// events reads the events of a request.
func events(r *http.Request) (list []json.RawMessage, err error) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		if body, err = gzip.NewReader(body); err != nil {
			return nil, err
		}
	}
	for d := json.NewDecoder(body); ; {
		var e json.RawMessage
		switch err := d.Decode(&e); err {
		case nil:
			list = append(list, e)
		case io.EOF:
			return list, nil
		default:
			return nil, err
		}
	}
}
