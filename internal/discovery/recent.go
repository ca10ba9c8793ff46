package discovery

import "time"

const (
	recently  = time.Hour // how long a recent remembers at least
	maxRecent = 20_000    // each half, with some 200 bytes
)

// A recent remembers what was put for an hour to two; of more than 20,000 at least
// the latest 20,000. The zero value remembers nothing yet.
type recent[K comparable, V any] struct {
	young, old map[K]V
	since      time.Time // when young began
}

func (r *recent[K, V]) put(k K, v V, now time.Time) {
	if r.young == nil || len(r.young) >= maxRecent || now.Sub(r.since) > recently {
		r.young, r.old, r.since = make(map[K]V), r.young, now
	}
	r.young[k] = v
}

func (r *recent[K, V]) get(k K) (v V, ok bool) {
	if v, ok = r.young[k]; !ok {
		v, ok = r.old[k]
	}
	return v, ok
}
