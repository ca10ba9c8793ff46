package discovery

import "testing"

func TestRecent(t *testing.T) {
	var r recent[int, string]
	if _, ok := r.get(1); ok {
		t.Error("the zero value has something")
	}
	r.put(1, "a", second(0))
	r.put(2, "b", second(3600))
	if v, ok := r.get(1); !ok || v != "a" {
		t.Error("forgotten within the hour")
	}
	r.put(3, "c", second(3601))
	if _, ok := r.get(1); !ok {
		t.Error("forgotten after the hour at once")
	}
	r.put(4, "d", second(7300))
	for k, want := range map[int]bool{1: false, 2: false, 3: true, 4: true} {
		if _, ok := r.get(k); ok != want {
			t.Errorf("%d: %v", k, ok)
		}
	}
	for i := range 3 * maxRecent {
		r.put(i, "x", second(7300))
	}
	if n := len(r.young) + len(r.old); n > 2*maxRecent {
		t.Errorf("%d are kept", n)
	}
	if _, ok := r.get(2 * maxRecent); !ok {
		t.Error("of the latest 20,000 one is missing")
	}
}
