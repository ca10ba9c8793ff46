package awsapi

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"
)

// maxPages bounds the pages of a list: 100,000 task ARNs at 100 a page.
const maxPages = 1000

// list asks for page after page of an operation and returns what convert makes of
// the items, less those it does not take. ask gives one page and the token of the
// next.
func list[In, Out any](ctx context.Context, c *Client, operation string, convert func(*In) (Out, bool),
	ask func(ctx context.Context, s *sdk, token *string) ([]In, *string, error),
) ([]Out, error) {
	ctx = context.WithValue(ctx, leftKey{}, newLeft(c.longest))
	var all []Out
	var token *string
	leftOut := 0
	for range maxPages {
		items, next, err := page(ctx, c, operation, token, ask)
		if err != nil {
			return nil, err
		}
		for i := range items {
			if item, ok := convert(&items[i]); ok {
				all = append(all, item)
			} else {
				leftOut++
			}
		}
		if aws.ToString(next) == "" {
			c.reportLeftOut(operation, leftOut)
			return all, nil
		}
		if aws.ToString(token) == *next {
			return nil, c.failed(nil, operation, errors.New("a page names itself as the next one"))
		}
		token = next
	}
	return nil, c.failed(nil, operation, fmt.Errorf("there are more than %d pages", maxPages))
}

// page asks for one page.
func page[In any](ctx context.Context, c *Client, operation string, token *string,
	ask func(ctx context.Context, s *sdk, token *string) ([]In, *string, error),
) ([]In, *string, error) {
	var items []In
	var next *string
	err := c.call(ctx, operation, func(ctx context.Context, s *sdk) (err error) {
		items, next, err = ask(ctx, s, token)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return items, next, nil
}

// call makes one call, with the client's time-out. Its error is a *failure.
func (c *Client) call(whole context.Context, operation string, do func(context.Context, *sdk) error) error {
	ctx, cancel := context.WithTimeout(whole, c.timeout)
	defer cancel()
	s, err := c.connect(ctx)
	if err == nil {
		err = do(ctx, s)
	}
	if err == nil {
		return nil
	}
	err = c.failed(s, operation, err)
	if f, ok := err.(*failure); ok && f.kind == Unreachable && whole.Err() != nil {
		f.remedy = "the time of the caller was over, and it is tried again"
	}
	return err
}

// inBatches calls ask with at most size ids at a time, until it fails, and returns
// all that it returned before.
func inBatches[Out any](ids []string, size int, ask func([]string) ([]Out, error)) ([]Out, error) {
	var all []Out
	for batch := range slices.Chunk(ids, size) {
		items, err := ask(batch)
		if err != nil {
			return all, err
		}
		all = append(all, items...)
	}
	return all, nil
}

// reportLeftOut logs how many items of an answer were left out, if those are
// not as many as the last time.
func (c *Client) reportLeftOut(operation string, n int) {
	c.mu.Lock()
	before := c.leftOut[operation]
	c.leftOut[operation] = n
	c.mu.Unlock()
	if n != before {
		c.log.Warn("items of AWS's answer are left out: they lack what is needed, or have values out of range",
			"operation", operation, "region", c.Region(), "items", n)
	}
}

// meter makes the requests of an SDK client, retries too, wait for their turn,
// and counts them.
func (c *Client) meter(stack *middleware.Stack) error {
	return stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("PeriscopeMeter", func(
		ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler,
	) (middleware.FinalizeOutput, middleware.Metadata, error) {
		if err := c.pacer.wait(ctx); err != nil {
			return middleware.FinalizeOutput{}, middleware.Metadata{}, err
		}
		c.mu.Lock()
		c.calls[awsmiddleware.GetOperationName(ctx)]++
		c.mu.Unlock()
		return next.HandleFinalize(ctx, in)
	}), "Retry", middleware.After)
}
