// Command flows makes conversations for flow accounting, and measures what
// accounting for them costs.
//
//	go run ./bench/flows gen -frames 2000000 -flows 50000 FILE
//	go run ./bench/flows measure -periscope bin/periscope FILE
package main

import (
	"fmt"
	"os"
)

// commands are what the first argument chooses.
var commands = map[string]func(args []string) error{
	"gen":     gen,
	"measure": measure,
}

func main() {
	name := ""
	if len(os.Args) > 1 {
		name = os.Args[1]
	}
	command := commands[name]
	if command == nil {
		fmt.Fprintln(os.Stderr, "usage: flows gen|measure [flags] FILE")
		os.Exit(2)
	}
	if err := command(os.Args[2:]); err != nil {
		fmt.Fprintf(os.Stderr, "flows %s: %v\n", name, err)
		os.Exit(1)
	}
}
