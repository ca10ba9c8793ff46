package hec

// Bounds of the requests that are out at once. An endpoint has at most its share
// of the places, so that those that do not answer take none of another's.
const (
	maxPlaces = 16
	maxWindow = 8
)

// A window says how many requests an endpoint may have out at once, from 1 to
// most: one more after as many good answers as it allows, half after a slow one.
type window struct {
	most  int
	extra int // beyond one
	clean int // good answers since it changed
}

// newWindow returns that of one of so many endpoints.
func newWindow(endpoints int) window {
	return window{most: max(1, min(maxWindow, maxPlaces/endpoints))}
}

func (w *window) size() int { return 1 + w.extra }

// note takes in the outcome of a request, and says whether fewer are allowed now.
func (w *window) note(o *Outcome) bool {
	switch {
	case o.Slow:
		was := w.extra
		w.extra, w.clean = max(w.size()/2, 1)-1, 0
		return w.extra < was
	case o.Class.taken():
		if w.clean++; w.clean > w.extra && w.size() < w.most {
			w.extra, w.clean = w.extra+1, 0
		}
	}
	return false
}
