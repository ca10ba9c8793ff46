package changes

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// A memory is objects that fail on demand.
type memory struct {
	mu    sync.Mutex
	held  map[string]string
	fail  map[string]error // of Get, by key; "" of List
	lists int
	gets  int
}

func newMemory() *memory {
	return &memory{held: make(map[string]string), fail: make(map[string]error)}
}

func (m *memory) Put(_ context.Context, key string, data []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.held[key]; ok {
		return fmt.Errorf("%s: %w", key, fs.ErrExist)
	}
	m.held[key] = string(data)
	return nil
}

func (m *memory) List(_ context.Context, after string, limit int) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lists++
	if err := m.fail[""]; err != nil {
		return nil, err
	}
	keys := slices.Sorted(maps.Keys(m.held))
	at, found := slices.BinarySearch(keys, after)
	if found {
		at++
	}
	return keys[at:min(len(keys), at+limit)], nil
}

func (m *memory) Get(_ context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gets++
	if err := m.fail[key]; err != nil {
		return nil, err
	}
	data, ok := m.held[key]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return []byte(data), nil
}

var epoch = time.Date(2026, 11, 21, 20, 59, 50, 0, time.UTC)

func second(n int) time.Time { return epoch.Add(time.Duration(n) * time.Second) }

const home, far = "111122223333", "444455556666"

// change returns one of interface eni-<name> at a second.
func change(at int, kind, name string) Change {
	return Change{
		At: second(at), Kind: kind, Account: home, Region: "eu-central-1", SessionID: "tms-" + name, InterfaceID: "eni-" + name,
		VNI: 7, Number: 1, Address: netip.MustParseAddr("10.0.0.1"), MAC: "02:00:00:00:00:01",
	}
}

// say returns changes in short: seconds, kind and interface.
func say(all []Change) (lines []string) {
	for i := range all {
		lines = append(lines, fmt.Sprintf("%d %s %s", int(all[i].At.Sub(epoch)/time.Second), all[i].Kind, all[i].InterfaceID[4:]))
	}
	return lines
}
