package cdc_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/s3db-go/replicator/cdc"
)

func ExampleRecord() {
	order := cdc.Record{"total": "149.95", "items": 3.0, "note": nil, "paidAt": "2026-08-01T12:00:00Z"}

	fmt.Println(order.Float("total"), order.Int("items"), order.Time("paidAt").Year())
	fmt.Println(order.Has("note"), order.Has("coupon"))
	fmt.Printf("%q %v\n", order.String("coupon"), order.Bool("gift"))
	fmt.Println(order.Pick("items", "coupon"))
	// Output:
	// 149.95 3 2026
	// true false
	// "" false
	// map[items:3]
}

func ExampleNormalize() {
	type Plan string
	r, err := cdc.Normalize(cdc.Record{
		"plan":  Plan("pro"),
		"seats": uint8(5),
		"used":  uint64(1 << 63),
		"since": time.Date(2026, 8, 1, 14, 0, 0, 0, time.FixedZone("CEST", 7200)),
		"tags":  []string{"eu", "beta"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, field := range []string{"plan", "seats", "used", "since", "tags"} {
		fmt.Printf("%s: %T %v\n", field, r[field], r[field])
	}
	// Output:
	// plan: string pro
	// seats: int64 5
	// used: cdc.Decimal 9223372036854775808
	// since: time.Time 2026-08-01 12:00:00 +0000 UTC
	// tags: []interface {} [eu beta]
}

// Whatever can't travel is told at once, with its path.
func ExampleNormalize_errors() {
	_, err := cdc.Normalize(cdc.Record{
		"address": map[string]any{"lines": []any{"Main St 1", func() {}}},
		"name":    "caf\xe9",
	})
	fmt.Println(err)
	// Output:
	// field address.lines[1]: a func() can't be replicated
	// field name: text is not valid UTF-8
}

// A driver answers item by item, and says of each what to do next.
func ExampleBatchError() {
	apply := func() error {
		return &cdc.BatchError{Errs: []error{
			nil, // durable at the destination
			cdc.Permanent(errors.New("value too long for column name")),
			cdc.RetryAfter(errors.New("too many requests"), 2*time.Second),
		}}
	}

	err := apply()
	fmt.Println(err)
	if batch, ok := errors.AsType[*cdc.BatchError](err); ok {
		for _, e := range batch.Errs {
			fmt.Println(e == nil, cdc.FaultOf(e), cdc.AfterOf(e))
		}
	}
	// Output:
	// 2 of 3 deliveries failed, the first: value too long for column name
	// true transient 0s
	// false permanent 0s
	// false transient 2s
}

// Decimals keep their digits, and compare by value.
func ExampleParseDecimal() {
	price, err := cdc.ParseDecimal("19.90")
	if err != nil {
		fmt.Println(err)
		return
	}
	same, _ := cdc.ParseDecimal("19.9")
	fmt.Println(price, price == same, price.Cmp(same) == 0, price.Float64())
	_, err = cdc.ParseDecimal("19,90")
	fmt.Println(err)
	// Output:
	// 19.90 false true 19.9
	// cdc: "19,90" is not a decimal number
}

// printer is a driver: it prints. One that fails says whose fault it is, and of a batch
// which of its deliveries.
type printer struct{}

func (printer) Name() string { return "printer" }

func (printer) Apply(_ context.Context, batch []cdc.Delivery) error {
	errs, failed := make([]error, len(batch)), false
	for i, d := range batch {
		if len(d.Record.String("name")) > 8 {
			errs[i], failed = cdc.Permanent(errors.New("the name does not fit on the label")), true
			continue
		}
		fmt.Println(d.Op, d.RecordID, "at", d.Target)
	}
	if failed {
		return &cdc.BatchError{Errs: errs}
	}
	return nil
}

func ExampleDriver() {
	var d cdc.Driver = printer{}
	fmt.Println(d.Apply(context.Background(), []cdc.Delivery{
		{Change: cdc.Change{Op: cdc.Inserted, RecordID: "u1"}, Target: "labels", Record: cdc.Record{"name": "Ann"}},
		{Change: cdc.Change{Op: cdc.Updated, RecordID: "u2"}, Target: "labels", Record: cdc.Record{"name": "Bartholomew"}},
	}))
	// Output:
	// inserted u1 at labels
	// 1 of 2 deliveries failed, the first: the name does not fit on the label
}
