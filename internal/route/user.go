package route

import (
	"fmt"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/panics"
)

// filter asks a ShouldReplicate, which may be nil.
func filter(fn func(cdc.Change) bool, c *cdc.Change, name, refused string) (skip string, err error) {
	if fn == nil {
		return "", nil
	}
	defer func() {
		if v := recover(); v != nil {
			err = panics.Error(name, v)
		}
	}()
	if !fn(private(c, c.Data, c.Before)) {
		return refused, nil
	}
	return "", nil
}

// transform gives data the shape that fn, which may be nil, makes of it.
func transform(fn func(cdc.Change) (cdc.Record, error), c *cdc.Change, data, before cdc.Record) (out cdc.Record, err error) {
	if fn == nil {
		return data, nil
	}
	defer func() {
		if v := recover(); v != nil {
			out, err = nil, panics.Error("the route's Transform", v)
		}
	}()
	out, err = fn(private(c, data, before))
	if err != nil {
		return nil, fmt.Errorf("the route's Transform: %w", err)
	}
	out, err = cdc.Normalize(out)
	if err != nil {
		return nil, fmt.Errorf("what the route's Transform made can't be sent: %w", err)
	}
	return out, nil
}

// private gives the change with a copy of the top level of its records, for a
// function that may do with them what it likes.
func private(c *cdc.Change, data, before cdc.Record) cdc.Change {
	own := *c
	own.Data, own.Before = data.Clone(), before.Clone()
	return own
}
