package hectest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
)

// Acks says how a server acknowledges. The zero value does not: requests get no
// ackId, and queries code 14.
type Acks struct {
	On    bool
	After int // queries that say of an ackId that it is not indexed yet; -1 for all
	Cap   int // acknowledgements a channel holds before code 27, 0 for no bound
}

// acks is the state behind it.
type acks struct {
	Acks
	script   []Answer
	channels map[string]*channel
}

// A channel counts requests from 0 on.
type channel struct {
	ids   int64
	asked map[int64]int // how often, for those that were not told
}

// SetAcks sets how requests are acknowledged from now on.
func (s *Server) SetAcks(a Acks) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acks.Acks = a
}

// ScriptAcks sets what the next queries are told, in order. With Status 0 they
// are told what Splunk would; with Drop it is lost, and not told again.
func (s *Server) ScriptAcks(answers ...Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acks.script = append(s.acks.script, answers...)
}

// Forget makes the server forget every channel, as a restart or the way to
// another one behind a balancer does.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.acks.channels)
}

func (a *acks) next() Answer {
	if len(a.script) == 0 {
		return Answer{}
	}
	next := a.script[0]
	a.script = a.script[1:]
	return next
}

// channel returns that of a request, nil if it names none.
func (a *acks) channel(r *http.Request) *channel {
	id := r.Header.Get("X-Splunk-Request-Channel")
	if id == "" {
		id = r.URL.Query().Get("channel")
	}
	if id == "" {
		return nil
	}
	if a.channels == nil {
		a.channels = make(map[string]*channel)
	}
	ch := a.channels[id]
	if ch == nil {
		ch = &channel{asked: make(map[int64]int)}
		a.channels[id] = ch
	}
	return ch
}

func (ch *channel) add() int64 {
	id := ch.ids
	ch.ids++
	ch.asked[id] = 0
	return id
}

// tell answers a query. That an ackId is indexed is told once.
func (s *Server) tell(r *http.Request, body []byte) Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, ok := s.authorize(r); !ok {
		return a
	}
	ch := s.acks.channel(r)
	var q struct{ Acks []int64 }
	switch {
	case !s.acks.On:
		return answer(400, "ACK is disabled", 14)
	case ch == nil:
		return answer(400, "Data channel is missing", 10)
	case json.Unmarshal(body, &q) != nil || q.Acks == nil:
		return answer(400, "Invalid data format", 6)
	}
	var b bytes.Buffer
	for i, id := range q.Acks {
		asked, ok := ch.asked[id]
		told := ok && s.acks.After >= 0 && asked >= s.acks.After
		if told {
			delete(ch.asked, id)
		} else if ok {
			ch.asked[id]++
		}
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"%d":%t`, id, told)
	}
	return Answer{Status: 200, Body: `{"acks":{` + b.String() + `}}`}
}
