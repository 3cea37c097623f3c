package store

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/s3db-go/replicator/cdc"
)

// defaultPage is the number of records on a page when none is given.
const defaultPage = 100

// PageOptions choose a page.
type PageOptions struct {
	// Size is the number of records; 100 if it is 0.
	Size int
	// Cursor is the Next of the page before; "" for the first page.
	Cursor string
}

// Page is some records in the order of their keys.
type Page struct {
	Records []Record
	// Next is the cursor of the page that follows, "" if this is the last one.
	Next string
}

// Order is a field to sort by.
type Order struct {
	Field      string // a dotted path
	Descending bool
}

// QueryOptions choose what of a query's result is wanted, and in which order.
type QueryOptions struct {
	// Limit ends the result after so many records; 0 is no limit.
	Limit int
	// Sort orders by the first field, then by the next. Values of different types
	// are ordered as absent or nil, false, true, numbers, text, times, anything else;
	// ties keep the order of keys. A sorted result is held in memory. Without Sort
	// the order is that of the keys.
	Sort []Order
}

// List gives all records in the order of their keys, reading each as it is reached.
// Records that come or go meanwhile may or may not be among them. The first error
// ends the list.
func (r *Resource) List(ctx context.Context) iter.Seq2[Record, error] {
	return r.after(ctx, "")
}

// after gives the records whose id comes after the one given.
func (r *Resource) after(ctx context.Context, id string) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		s, err := r.db.schema(r.name)
		if err != nil {
			yield(nil, err)
			return
		}
		prefix := recordPrefix(r.name)
		for key, err := range r.db.backend.list(ctx, prefix, prefix+id) {
			var rec Record
			if err != nil {
				err = fmt.Errorf("store: %s: list: %w", r.name, err)
			} else {
				rec, err = r.db.read(ctx, s, strings.TrimPrefix(key, prefix))
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if rec != nil && !yield(rec, nil) {
				return
			}
		}
	}
}

// Page gives some records in the order of their keys, and where to go on. Going
// from page to page meets every record that was there all the time, once.
func (r *Resource) Page(ctx context.Context, opts PageOptions) (Page, error) {
	size := opts.Size
	if size == 0 {
		size = defaultPage
	}
	after, err := base64.RawURLEncoding.DecodeString(opts.Cursor)
	if err != nil || size < 0 {
		return Page{}, fmt.Errorf("store: %s: page: the cursor or the size is not valid", r.name)
	}
	var page Page
	for rec, err := range r.after(ctx, string(after)) {
		if err != nil {
			return Page{}, err
		}
		if len(page.Records) == size {
			last := page.Records[size-1].String("id")
			page.Next = base64.RawURLEncoding.EncodeToString([]byte(last))
			break
		}
		page.Records = append(page.Records, rec)
	}
	return page, nil
}

// Query gives the records that the filter selects. A filter that is not valid is
// the only thing that the sequence gives then. The first error ends it.
func (r *Resource) Query(ctx context.Context, filter Filter, opts QueryOptions) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		selects, err := compileFilter(filter)
		if opts.Limit < 0 {
			err = errors.Join(err, errors.New("the limit is negative"))
		}
		if err != nil {
			yield(nil, fmt.Errorf("store: %s: query: %w", r.name, err))
			return
		}
		records := r.selected(ctx, selects)
		if len(opts.Sort) > 0 {
			records = sorted(records, opts.Sort)
		}
		n := 0
		for rec, err := range records {
			if !yield(rec, err) || err != nil {
				return
			}
			if n++; n == opts.Limit {
				return
			}
		}
	}
}

func (r *Resource) selected(ctx context.Context, selects condition) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for rec, err := range r.List(ctx) {
			if (err != nil || selects(rec)) && !yield(rec, err) {
				return
			}
		}
	}
}

// sorted gives the same records in another order; an error comes alone.
func sorted(records iter.Seq2[Record, error], by []Order) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		var all []Record
		for rec, err := range records {
			if err != nil {
				yield(nil, err)
				return
			}
			all = append(all, rec)
		}
		slices.SortStableFunc(all, func(a, b Record) int { return compareRecords(a, b, by) })
		for _, rec := range all {
			if !yield(rec, nil) {
				return
			}
		}
	}
}

func compareRecords(a, b Record, by []Order) int {
	for _, o := range by {
		x, _ := lookup(a, o.Field)
		y, _ := lookup(b, o.Field)
		n := rank(x) - rank(y)
		if n == 0 {
			n, _ = compare(x, y)
		}
		if o.Descending {
			n = -n
		}
		if n != 0 {
			return n
		}
	}
	return 0
}

// rank orders values of different types.
func rank(v any) int {
	switch v.(type) {
	case nil:
		return 0
	case bool:
		return 1
	case int64, float64, cdc.Decimal:
		return 2
	case string:
		return 3
	case time.Time:
		return 4
	}
	return 5
}

// exact gives a number's exact value, or reports that v is none.
func exact(v any) (*big.Rat, bool) {
	switch v := v.(type) {
	case int64:
		return new(big.Rat).SetInt64(v), true
	case float64:
		return new(big.Rat).SetFloat64(v), true
	case cdc.Decimal:
		return v.Rat(), true
	}
	return nil, false
}

// Count gives the number of records.
func (r *Resource) Count(ctx context.Context) (int, error) {
	if _, err := r.db.schema(r.name); err != nil {
		return 0, err
	}
	prefix := recordPrefix(r.name)
	n := 0
	for _, err := range r.db.backend.list(ctx, prefix, prefix) {
		if err != nil {
			return 0, fmt.Errorf("store: %s: count: %w", r.name, err)
		}
		n++
	}
	return n, nil
}
