package hec

import "sync"

// maxWindow bounds the requests that are out at once.
const maxWindow = 8

// A Window says how many requests to have out at once, 1 to 8: one more after as
// many good answers as it allows, half after a slow one. The zero value allows
// one. Its methods may be called at once.
type Window struct {
	mu    sync.Mutex
	extra int // beyond one
	clean int // good answers since it changed
}

// Size returns how many requests may be out.
func (w *Window) Size() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return 1 + w.extra
}

// Note takes in the outcome of a request.
func (w *Window) Note(o Outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case o.Slow:
		w.extra, w.clean = max((1+w.extra)/2, 1)-1, 0
	case o.Class == Delivered:
		if w.clean++; w.clean > w.extra && w.extra < maxWindow-1 {
			w.extra, w.clean = w.extra+1, 0
		}
	}
}
