package admin

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestToken(t *testing.T) {
	const long = "0123456789abcdef"
	for _, test := range []struct {
		name, file, header string
		status             int
	}{
		{"right", "secret", "Bearer secret", 200},
		{"right, the file ends in a new line", " secret\r\n", "Bearer secret", 200},
		{"right, the scheme in lower case", "secret", "bearer secret", 200},
		{"right, with a space inside", "open sesame", "Bearer open sesame", 200},
		{"missing", "secret", "", 401},
		{"no scheme", "secret", "secret", 401},
		{"another scheme", "secret", "Basic secret", 401},
		{"scheme alone", "secret", "Bearer", 401},
		{"empty", "secret", "Bearer ", 401},
		{"wrong", "secret", "Bearer Secret", 401},
		{"one byte less", long, "Bearer " + long[:15], 401},
		{"one byte more", long, "Bearer " + long + "0", 401},
		{"of spaces", "secret", "Bearer       ", 401},
		{"no token in the file", "", "Bearer ", 503},
		{"nothing but white space in the file", " \n", "Bearer  \n", 503},
	} {
		t.Run(test.name, func(t *testing.T) {
			var ready error
			c := testConfig(t, &ready)
			c.TokenFile = filepath.Join(t.TempDir(), "token")
			if err := os.WriteFile(c.TokenFile, []byte(test.file), 0o600); err != nil {
				t.Fatal(err)
			}
			h := Handler(c)
			for _, path := range []string{"/metrics", "/healthz", "/readyz", "/api/v1/ledger"} {
				r := ask(h, "GET", path, "Authorization: "+test.header)
				if r.StatusCode != test.status {
					t.Errorf("%s: %d, want %d", path, r.StatusCode, test.status)
				}
				challenge := r.Header.Get("WWW-Authenticate")
				if (challenge == "Bearer") != (test.status == 401) {
					t.Errorf("%s: challenge %q", path, challenge)
				}
				if text := body(t, r); test.status != 200 && (strings.Contains(text, "42") || strings.Contains(text, "received")) {
					t.Errorf("%s: shows %q", path, text)
				}
			}
			// Not even what exists is told.
			if r := ask(h, "GET", "/nothing", "Authorization: "+test.header); test.status != 200 && r.StatusCode != test.status {
				t.Errorf("/nothing: %d", r.StatusCode)
			}
		})
	}
}

// TestTokenChanges says that the file is read at each request, and that what is
// wrong with it is logged once, without its content.
func TestTokenChanges(t *testing.T) {
	var ready error
	var log bytes.Buffer
	c := testConfig(t, &ready)
	c.Log = slog.New(slog.NewTextHandler(&log, nil))
	c.TokenFile = filepath.Join(t.TempDir(), "token")
	h := Handler(c)
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(c.TokenFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(header string, status, logged int) {
		t.Helper()
		for range 3 {
			if r := ask(h, "GET", "/metrics", "Authorization: "+header); r.StatusCode != status {
				t.Errorf("%q: %d, want %d", header, r.StatusCode, status)
			}
		}
		if n := strings.Count(log.String(), "level=ERROR"); n != logged {
			t.Errorf("logged %d times, want %d:\n%s", n, logged, log.String())
		}
	}
	expect("Bearer first", 503, 1) // no file
	write("first")
	expect("Bearer first", 200, 1)
	write("second")
	expect("Bearer first", 401, 1)
	expect("Bearer second", 200, 1)
	write("")
	expect("Bearer second", 503, 2)
	write("third")
	expect("Bearer third", 200, 2)
	if err := os.Remove(c.TokenFile); err != nil {
		t.Fatal(err)
	}
	expect("Bearer third", 503, 3)
	for _, secret := range []string{"first", "second", "third"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log holds %q:\n%s", secret, log.String())
		}
	}
}

// TestTokenComparison says that tokens are compared in constant time: where
// they are compared there is one call, and no operator on them.
func TestTokenComparison(t *testing.T) {
	parsed, err := parser.ParseFile(token.NewFileSet(), "token.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if n.Sel.Name == "ConstantTimeCompare" {
				calls++
			}
		case *ast.BinaryExpr:
			for _, side := range []ast.Expr{n.X, n.Y} {
				if id, ok := side.(*ast.Ident); ok && (id.Name == "got" || id.Name == "want") {
					t.Errorf("%s is compared with %s", id.Name, n.Op)
				}
			}
		}
		return true
	})
	if calls != 1 {
		t.Errorf("subtle.ConstantTimeCompare is called %d times", calls)
	}
}
