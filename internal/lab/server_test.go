package lab_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"testing"
)

// serve, in the environment, has the test binary be one of the lab's programs:
// the lab runs programs in its namespaces, not functions.
const serve = "PERISCOPE_LAB_SERVE"

// programs are what the test binary can be. Servers do not return.
var programs = map[string]func() error{
	"http":     func() error { return http.ListenAndServe(":80", http.HandlerFunc(handle)) },
	"https":    serveTLS,
	"reset":    resetConnection,
	"scan":     scan,
	"datagram": sendDatagram,
}

func TestMain(m *testing.M) {
	name := os.Getenv(serve)
	if name == "" {
		os.Exit(m.Run())
	}
	if err := programs[name](); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// handle answers GET /N with N bytes, and POST with the sum of what it got.
func handle(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		sum := sha256.New()
		if _, err := io.Copy(sum, r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, "%x", sum.Sum(nil))
		return
	}
	n, err := strconv.Atoi(r.URL.Path[1:])
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Write(noise(n))
}

// noise returns n bytes, the same at each call, that no header resembles.
func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{}).Read(b)
	return b
}
