package route

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

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
		return nil, fmt.Errorf("the route's Transform: %w", discreet(err))
	}
	out, err = cdc.Normalize(out)
	if err != nil {
		return nil, fmt.Errorf("what the route's Transform made can't be sent: %w", err)
	}
	return out, nil
}

// order gives the lanes that OrderBy, which is not nil, puts a change in, and the key
// that it gave. The marks keep them apart from those of keys.
func (r *Rule) order(c *cdc.Change) (lane, old, key string, err error) {
	defer func() {
		if v := recover(); v != nil {
			lane, old, key, err = "", "", "", panics.Error("the route's OrderBy", v)
		}
	}()
	const group, alone = "\x00group ", "\x00alone "
	key = r.OrderBy(private(c, c.Data, c.Before))
	if key == "" {
		return alone + c.ChangeID.String(), "", "", nil
	}
	if c.Op == cdc.Updated && c.Before != nil {
		if was := r.OrderBy(private(c, c.Before, nil)); was != "" && was != key {
			old = group + was
		}
	}
	return group + key, old, key, nil
}

// discreet gives err without the values that the standard library quotes when it can't
// read them: in a Transform those are the record's.
func discreet(err error) error {
	text := err.Error()
	if n, ok := errors.AsType[*strconv.NumError](err); ok {
		text = strings.ReplaceAll(text, strconv.Quote(n.Num), "a value")
	}
	if p, ok := errors.AsType[*time.ParseError](err); ok {
		for _, quoted := range []string{p.Value, p.ValueElem} {
			text = strings.ReplaceAll(text, strconv.Quote(quoted), "a value")
		}
	}
	if text == err.Error() {
		return err
	}
	return &discreetError{text, err}
}

// discreetError is an error with another text.
type discreetError struct {
	text string
	err  error
}

func (e *discreetError) Error() string { return e.text }
func (e *discreetError) Unwrap() error { return e.err }

// private gives the change with a copy of the top level of its records, for a
// function that may do with them what it likes.
func private(c *cdc.Change, data, before cdc.Record) cdc.Change {
	own := *c
	own.Data, own.Before = data.Clone(), before.Clone()
	return own
}
