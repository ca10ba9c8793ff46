package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
)

// serve is the server: it prints its URL and throws away what it is sent, until in
// ends.
func serve(in io.Reader, out io.Writer) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := &http.Server{Handler: http.HandlerFunc(discard)}
	failed := make(chan error, 1)
	go func() { failed <- s.Serve(l) }()
	fmt.Fprintf(out, "http://%s\n", l.Addr())
	if _, err := io.Copy(io.Discard, in); err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	if err := <-failed; err != http.ErrServerClosed {
		return err
	}
	return nil
}

// discard answers as Splunk does.
func discard(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, `{"text":"Success","code":0}`)
}
