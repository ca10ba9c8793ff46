package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/internal/awsfake"
	"github.com/periscope-collector/periscope/internal/leak"
)

func TestMain(m *testing.M) { leak.Check(m) }

// TestServe: the state outlives the program, and what the program prints leads to
// it.
func TestServe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	for range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		r, w := io.Pipe()
		ended := make(chan error, 1)
		go func() { ended <- serve(ctx, w, "127.0.0.1:0", path, "999988887777") }()
		line, err := bufio.NewReader(r).ReadString('\n')
		if err != nil || !strings.HasPrefix(line, "export AWS_ENDPOINT_URL=http://127.0.0.1:") {
			t.Errorf("it prints %q, %v", line, err)
		}
		go func() { _, _ = io.Copy(io.Discard, r) }()
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		_ = w.Close() // a pipe's does not fail
		fake := awsfake.New(nil)
		if err := fake.Load(path); err != nil {
			t.Fatal(err)
		}
		if fake.State().Accounts["999988887777"] == nil {
			t.Error("the account is not in the file")
		}
	}
	if err := os.WriteFile(path, []byte(`{"Accounts":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := serve(t.Context(), io.Discard, "127.0.0.1:0", path, "1"); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a file that is no state: %v", err)
	}
}
