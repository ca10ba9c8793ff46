package changes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

func TestDirPutsOnceAndWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "above", "changes")
	d, ctx := Dir(path), t.Context()
	if keys, err := d.List(ctx, "", 10); keys != nil || err != nil {
		t.Errorf("a directory that is not there: %v, %v", keys, err)
	}
	var put, there atomic.Int64
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			switch err := d.Put(ctx, "a/b/c.json", fmt.Append(nil, n)); {
			case err == nil:
				put.Add(1)
			case errors.Is(err, fs.ErrExist):
				there.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if put.Load() != 1 || there.Load() != 7 {
		t.Errorf("%d were put, %d found it there", put.Load(), there.Load())
	}
	if data, err := d.Get(ctx, "a/b/c.json"); len(data) != 1 || err != nil {
		t.Errorf("%q, %v", data, err)
	}
	names, err := os.ReadDir(filepath.Join(path, "a", "b"))
	if len(names) != 1 || err != nil {
		t.Errorf("%v, %v", names, err)
	}
	if fi, err := os.Stat(filepath.Join(path, "a", "b", "c.json")); err != nil || fi.Mode() != 0o640 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
}

// List is what sorting all keys says, wherever it begins and however few it gives.
func TestDirListsInOrder(t *testing.T) {
	path := t.TempDir()
	d, ctx := Dir(path), t.Context()
	var keys []string
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var parts []string
		for range 1 + random.IntN(3) {
			parts = append(parts, []string{"a", "a-b", "a.b", "a0", "b", "B", "a_", "10", "1"}[random.IntN(9)])
		}
		key := strings.Join(parts, "/")
		if d.Put(ctx, key, nil) == nil { // else a directory or a file is in its place
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	if len(keys) < 50 {
		t.Fatalf("%d keys show little", len(keys))
	}
	for _, after := range append(slices.Clone(keys), "", "a", "a/", "a0", "a-", "zz", "a/a\xff", "a-b0") {
		for _, limit := range []int{1, 2, 7, 1000} {
			want := slices.DeleteFunc(slices.Clone(keys), func(k string) bool { return k <= after })
			want = want[:min(len(want), limit)]
			if got, err := d.List(ctx, after, limit); !slices.Equal(got, want) || err != nil {
				t.Fatalf("after %q, %d: %v, %v\nwant %v", after, limit, got, err, want)
			}
		}
	}
}

// More names than are kept at once come all.
func TestDirListsManyNames(t *testing.T) {
	path := t.TempDir()
	const n = 2*maxNames + 2000
	for i := range n {
		if err := os.WriteFile(filepath.Join(path, fmt.Sprintf("%06d", i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	keys, err := Dir(path).List(t.Context(), "000007", n)
	if len(keys) != n-8 || !slices.IsSorted(keys) || err != nil {
		t.Errorf("%d keys, %v", len(keys), err)
	}
}

// What others put there is passed over, and leads nowhere else.
func TestDirStrangeFiles(t *testing.T) {
	root := t.TempDir()
	path, ctx := filepath.Join(root, "changes"), t.Context()
	secret := filepath.Join(root, "secret.json")
	d := Dir(path)
	err := errors.Join(
		os.WriteFile(secret, []byte("secret"), 0o600),
		d.Put(ctx, "a/good.json", []byte("good")),
		os.Symlink(secret, filepath.Join(path, "a", "link.json")),
		os.Symlink(root, filepath.Join(path, "out")),
		syscall.Mkfifo(filepath.Join(path, "a", "pipe.json"), 0o600),
		os.WriteFile(filepath.Join(path, "a", ".partial-x"), nil, 0o600),
		os.WriteFile(filepath.Join(path, "a", "new\nline"), nil, 0o600),
		os.WriteFile(filepath.Join(path, "a", "long.json"), bytes.Repeat([]byte("x"), MaxObject+1), 0o600),
		os.WriteFile(filepath.Join(path, "a", "full.json"), bytes.Repeat([]byte("x"), MaxObject), 0o600),
	)
	if err != nil {
		t.Fatal(err)
	}
	if keys, err := d.List(ctx, "", 10); !slices.Equal(keys, []string{"a/full.json", "a/good.json", "a/long.json"}) || err != nil {
		t.Errorf("%q, %v", keys, err)
	}
	for key, want := range map[string]error{
		"a/link.json": nil, "out/secret.json": nil, "../secret.json": nil, "/a/good.json": nil, "a": nil,
		"a/pipe.json": fs.ErrNotExist, "a/none.json": fs.ErrNotExist, "a/long.json": ErrTooLong,
	} {
		if data, err := d.Get(ctx, key); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %d bytes, %v", key, len(data), err)
		}
	}
	if data, err := d.Get(ctx, "a/full.json"); len(data) != MaxObject || err != nil {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	for _, key := range []string{"", "/a", "a/", "a//b", "../a", "a/../b", "a/./b", ".a", "a b", "a\x00", "ä", strings.Repeat("a", maxKey+1), "out/x", "a/good.json/x"} {
		if err := d.Put(ctx, key, nil); err == nil {
			t.Errorf("%q was put", key)
		}
	}
	if _, err := os.Stat(filepath.Join(root, "x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file outside: %v", err)
	}
}

func TestDirCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	d := Dir(t.TempDir())
	if err := d.Put(ctx, "a", nil); err != nil {
		t.Fatal(err)
	}
	cancel()
	_, get := d.Get(ctx, "a")
	_, list := d.List(ctx, "", 1)
	for _, err := range []error{d.Put(ctx, "b", nil), get, list} {
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}
