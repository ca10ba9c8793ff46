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

// serve, in the environment, has the test binary be the lab's HTTP server: the
// lab runs programs in its namespaces, not functions.
const serve = "PERISCOPE_LAB_SERVE"

func TestMain(m *testing.M) {
	if os.Getenv(serve) != "" {
		fmt.Println(http.ListenAndServe(":80", http.HandlerFunc(handle)))
		os.Exit(1)
	}
	os.Exit(m.Run())
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
