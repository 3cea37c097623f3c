package drivertest_test

import (
	"testing"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/drivertest"
	"github.com/s3db-go/replicator/drivers/memory"
)

// The test of a driver that keeps the newest record of each key. Here it is the one in
// memory; one of yours reads its destination back by other means than its own.
func ExampleRun() {
	TestDriver := func(t *testing.T) {
		drivertest.Run(t, func(t *testing.T) drivertest.Harness {
			d := memory.New(memory.Options{})
			return drivertest.Harness{
				Driver: d,
				Records: func(t *testing.T, target string) (rows []cdc.Record) {
					for _, record := range d.Records(target) {
						rows = append(rows, record)
					}
					return rows
				},
			}
		})
	}
	_ = TestDriver // in a file _test.go it is a function
	// Output:
}
