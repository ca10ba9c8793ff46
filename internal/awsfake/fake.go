package awsfake

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// bodyLimit bounds a request's body, in bytes: more than 1,000 ids with their
// parameters' names.
const bodyLimit = 1 << 20

// A Fake answers requests. It is an http.Handler.
type Fake struct {
	mu       sync.Mutex
	state    State
	now      func() time.Time
	faults   []*Fault
	delay    Delay
	hidden   map[string]*hiding // by id
	indexes  map[*Region]*index
	calls    map[string]int
	replies  map[string]reply // to operations that happen once, by account, region and token
	requests uint64
	made     []MirrorSession
}

// A reply is kept for who asks for the same thing again.
type reply struct {
	asked string // the request's parameters
	body  []byte
}

// New returns a Fake that knows nothing. now is the time of all it does; nil is
// the machine's.
func New(now func() time.Time) *Fake {
	if now == nil {
		now = time.Now
	}
	return &Fake{
		now: now, hidden: make(map[string]*hiding), indexes: make(map[*Region]*index),
		calls: make(map[string]int), replies: make(map[string]reply),
	}
}

// State returns a copy of what it knows.
func (f *Fake) State() State {
	f.mu.Lock()
	defer f.mu.Unlock()
	var copied State
	if err := json.Unmarshal(f.marshal(), &copied); err != nil {
		panic(err) // it was marshalled the line before
	}
	return copied
}

// Change calls change with what it knows, while nobody else looks.
func (f *Fake) Change(change func(*State)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.state)
	clear(f.indexes)
}

// Region returns what an account has in a region, made if it is not there. It
// is for use in Change.
func (s *State) Region(account, region string) *Region {
	if s.Accounts == nil {
		s.Accounts = make(map[string]*Account)
	}
	a := s.Accounts[account]
	if a == nil {
		a = &Account{}
		s.Accounts[account] = a
	}
	if a.Regions == nil {
		a.Regions = make(map[string]*Region)
	}
	r := a.Regions[region]
	if r == nil {
		r = &Region{}
		a.Regions[region] = r
	}
	return r
}

// put adds a value to a map that may be nil.
func put[T any](m *map[string]*T, key string, value *T) *T {
	if *m == nil {
		*m = make(map[string]*T)
	}
	(*m)[key] = value
	return value
}

// Save writes what it knows to a file, whole or not at all.
func (f *Fake) Save(path string) error {
	f.mu.Lock()
	data := f.marshal()
	f.mu.Unlock()
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".")
	if err != nil {
		return err
	}
	_, err = file.Write(append(data, '\n'))
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}

func (f *Fake) marshal() []byte {
	data, err := json.MarshalIndent(&f.state, "", "\t")
	if err != nil {
		panic(err) // plain values do not fail
	}
	return data
}

// Load takes what Save wrote for all it knows.
func (f *Fake) Load(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	decoder := json.NewDecoder(file)
	decoder.DisallowUnknownFields()
	var state State
	if err := decoder.Decode(&state); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state = state
	clear(f.indexes)
	return nil
}

// Calls returns how often each operation was asked, also in vain, by its name.
func (f *Fake) Calls() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.calls)
}

// ServeHTTP answers a request of any of the services.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyLimit))
	if err != nil {
		http.Error(w, "request body: "+err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	if strings.HasPrefix(r.URL.Path, "/latest/") {
		f.metadata(w, r)
		return
	}
	if _, _, service := scope(r); service == "s3" {
		f.objects(w, r, body)
		return
	}
	f.mu.Lock()
	f.requests++
	id := fmt.Sprintf("00000000-0000-4000-8000-%012x", f.requests)
	in, err := parse(r, body)
	if _, ok := operations[in.operation]; ok {
		f.calls[in.operation]++
	}
	fault, faulty := f.fault(in.operation, in.account, in.region)
	if e := fault.error(in.service); faulty && e != nil {
		err = e
	}
	var out []byte
	if err == nil && (!faulty || fault.Kind == Broken) {
		out, err = f.answer(&in, id)
	}
	f.mu.Unlock()

	status := http.StatusOK
	if err != nil {
		status, out = encodeError(in.service, id, err)
	}
	if faulty && misbehave(r, fault.Kind, &out) {
		return
	}
	kind := "text/xml;charset=UTF-8"
	if in.service == ecs {
		kind = "application/x-amz-json-1.1"
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("X-Amzn-Requestid", id)
	w.Header().Set("Content-Length", strconv.Itoa(len(out)))
	w.WriteHeader(status)
	_, _ = w.Write(out) // the client may have left
}

// misbehave does what a fault does to a connection or an answer, and reports
// whether that was all.
func misbehave(r *http.Request, kind Kind, out *[]byte) bool {
	switch kind {
	case Hang:
		<-r.Context().Done()
		return true
	case Reset:
		panic(http.ErrAbortHandler)
	case Broken:
		*out = (*out)[:len(*out)/2]
	}
	return false
}

// answer runs the operation.
func (f *Fake) answer(in *request, id string) ([]byte, error) {
	if f.state.Accounts[in.account] == nil {
		return nil, strangers[in.service]
	}
	o := operations[in.operation]
	c := &call{f, f.state.Region(in.account, in.region), in.account, in.region, in.token, f.now().UTC()}
	c.age()
	key, asked := "", ""
	if token := in.form.Get("ClientToken"); o.idempotent && token != "" {
		key, asked = in.account+"/"+in.region+"/"+token, in.form.Encode()
		if before, ok := f.replies[key]; ok {
			if before.asked != asked {
				return nil, refuse("IdempotentParameterMismatch", "The client token you have provided has already been used with different parameters")
			}
			return before.body, nil
		}
	}
	out, err := o.run(c, func(to any) error {
		if err := in.decode(to); err != nil {
			return err
		}
		if in.form.Get("DryRun") == "true" {
			return &Error{"DryRunOperation", "Request would have succeeded, but DryRun flag is set.", http.StatusPreconditionFailed}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	body, err := in.encode(id, out)
	if err == nil && key != "" {
		f.replies[key] = reply{asked, body}
	}
	return body, err
}
