package main

import (
	"context"
	"io"
	"sync"
)

// untilDone returns a reader of r whose Read also returns when ctx is done. That
// of a terminal or of a pipe that stays open does not by itself. Nothing is read
// from r before the first Read.
func untilDone(ctx context.Context, r io.Reader) io.Reader {
	pr, pw := io.Pipe()
	return &interruptible{PipeReader: pr, start: sync.OnceFunc(func() {
		context.AfterFunc(ctx, func() { pw.CloseWithError(context.Cause(ctx)) })
		go func() {
			_, err := io.Copy(pw, r)
			pw.CloseWithError(err)
		}()
	})}
}

type interruptible struct {
	*io.PipeReader
	start func()
}

func (i *interruptible) Read(b []byte) (int, error) {
	i.start()
	return i.PipeReader.Read(b)
}
