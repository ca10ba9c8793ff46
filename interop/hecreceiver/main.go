// Command hecreceiver is an HEC server made of the OpenTelemetry Collector's
// receiver. It writes each event it takes as a line of JSON to standard output,
// before it answers. It ends with SIGINT or SIGTERM.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"github.com/periscope-collector/periscope/interop/receiver"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "hecreceiver:", err)
		os.Exit(1)
	}
}

func run() error {
	listen := flag.String("listen", "127.0.0.1:8088", "`address` to listen on")
	tokens := flag.String("tokens", "", "`file` of tokens, one a line")
	acks := flag.Bool("acks", false, "acknowledge requests")
	flag.Parse()
	file, err := os.ReadFile(*tokens)
	if err != nil {
		return fmt.Errorf("-tokens: %w", err)
	}
	var lock sync.Mutex
	r, err := receiver.Start(receiver.Config{Addr: *listen, Tokens: strings.Fields(string(file)), Acks: *acks}, func(es []receiver.Event) error {
		lines, err := encode(es)
		if err != nil {
			return err
		}
		lock.Lock()
		defer lock.Unlock()
		_, err = os.Stdout.Write(lines)
		return err
	})
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	fmt.Fprintln(os.Stderr, "listening on", *listen)
	<-stop
	return r.Close()
}

// encode returns events as lines.
func encode(es []receiver.Event) ([]byte, error) {
	var lines bytes.Buffer
	e := json.NewEncoder(&lines)
	e.SetEscapeHTML(false)
	for i := range es {
		if err := e.Encode(&es[i]); err != nil {
			return nil, err
		}
	}
	return lines.Bytes(), nil
}
