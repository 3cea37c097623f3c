package memory_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/memory"
)

// In a test the driver takes the place of a destination: what arrived can be read, and
// Before makes it fail.
func Example() {
	ctx := context.Background()
	down := true
	d := memory.New(memory.Options{Before: func(context.Context, []cdc.Delivery) error {
		if down {
			return cdc.Unavailable(errors.New("it is the weekend"))
		}
		return nil
	}})
	order := cdc.Delivery{
		Change: cdc.Change{Op: cdc.Inserted, Resource: "orders", RecordID: "o1", Version: 1},
		Target: "sales", Key: cdc.Record{"id": "o1"}, Record: cdc.Record{"id": "o1", "total": 99.5},
	}
	fmt.Println(d.Apply(ctx, []cdc.Delivery{order}), d.Records("sales"))
	down = false
	fmt.Println(d.Apply(ctx, []cdc.Delivery{order}), d.Records("sales"))
	// Output:
	// it is the weekend map[]
	// <nil> map[o1:map[id:o1 total:99.5]]
}

// With Events a target keeps every delivery, as a queue would.
func ExampleDriver_Events() {
	d := memory.New(memory.Options{Events: true})
	for version, op := range []cdc.Op{cdc.Inserted, cdc.Updated} {
		delivery := cdc.Delivery{Change: cdc.Change{Op: op, RecordID: "o1", Version: uint64(version + 1)}, Target: "orders", Record: cdc.Record{"id": "o1"}}
		if err := d.Apply(context.Background(), []cdc.Delivery{delivery}); err != nil {
			fmt.Println(err)
		}
	}
	for _, e := range d.Events("orders") {
		fmt.Println(e.Op, e.RecordID)
	}
	// Output:
	// inserted o1
	// updated o1
}
