package store

import (
	"context"
	"encoding/base64"
	"fmt"
	"iter"
	"math/big"
	"slices"
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
	// Filter selects the records, as in [Resource.Query]; nil selects all.
	Filter Filter
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

// List gives all records in the order of their keys, reading some of them ahead.
// Records that come or go meanwhile may or may not be among them. The first error
// ends the list.
func (r *Resource) List(ctx context.Context) iter.Seq2[Record, error] {
	return r.selected(ctx, nil, "")
}

// selected gives the records that a filter selects and whose ids come after the one
// given.
func (r *Resource) selected(ctx context.Context, filter Filter, after string) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		s, err := r.db.schema(r.name)
		if err != nil {
			yield(nil, err)
			return
		}
		selects, err := compileFilter(filter)
		if err != nil {
			yield(nil, fmt.Errorf("store: %s: query: %w", r.name, err))
			return
		}
		for f, err := range r.db.walk(ctx, s, s.wayOf(filter), after) {
			if err != nil {
				yield(nil, f.wrong(r.name, "list", err))
				return
			}
			if f.rec != nil && selects(f.rec) && !yield(f.rec, nil) {
				return
			}
		}
	}
}

// wayOf gives the shortest way by all records that a filter selects: if it asks for
// certain values of all of a partition's attributes, that is by these. Whoever goes it
// still looks at each record: a reference may be an old one.
func (s *schema) wayOf(filter Filter) way {
	best, fields := s.everything(), 0
	for _, p := range s.partitions {
		if !p.complete || len(p.fields) <= fields {
			continue
		}
		prefix, ok := p.prefix(s, func(path string) (any, bool) { return s.equated(filter, path) })
		if ok && unfitReference(prefix) == "" {
			best, fields = way(joined(prefix)+"/id="), len(p.fields)
		}
	}
	return best
}

// equated gives the value that a filter asks for, in the type of the attribute, or
// false. Whatever equals the one then has the text of the other.
func (s *schema) equated(filter Filter, path string) (any, bool) {
	v, ok := filter[path]
	if operators, isMap := asFilter(v); isMap && len(operators) == 1 {
		v, ok = operators["$eq"]
	}
	a := s.byPath[path]
	v, err := cdc.NormalizeValue(v)
	if !ok || a == nil || v == nil || err != nil {
		return nil, false
	}
	typed, reason := a.accept(v)
	return typed, reason == ""
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
	for rec, err := range r.selected(ctx, opts.Filter, string(after)) {
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
//
// Where the filter asks for certain values of all of a partition's attributes (by a
// plain value, or by $eq), only the records in that part of the partition are read.
// That is as good as looking at each record, but for what another program wrote and
// has not put into the partition, as the original does after it has returned; see
// [Resource.Reindex]. A partition that is younger than the resource is not used.
func (r *Resource) Query(ctx context.Context, filter Filter, opts QueryOptions) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		if opts.Limit < 0 {
			yield(nil, fmt.Errorf("store: %s: query: the limit is negative", r.name))
			return
		}
		records := r.selected(ctx, filter, "")
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

// Count gives the number of records, or of those that all of the filters select. With
// filters it reads records, as [Resource.Query] does; without it only lists keys.
func (r *Resource) Count(ctx context.Context, filters ...Filter) (int, error) {
	n := 0
	if len(filters) > 0 {
		both := filters[0]
		if len(filters) > 1 {
			both = Filter{"$and": filters}
		}
		for _, err := range r.selected(ctx, both, "") {
			if err != nil {
				return 0, err
			}
			n++
		}
		return n, nil
	}
	if _, err := r.db.schema(r.name); err != nil {
		return 0, err
	}
	prefix := recordPrefix(r.name)
	for _, err := range r.db.backend.list(ctx, prefix, prefix) {
		if err != nil {
			return 0, fmt.Errorf("store: %s: count: %w", r.name, err)
		}
		n++
	}
	return n, nil
}
