package sourcetest_test

import (
	"context"
	"testing"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/cdc/sourcetest"
)

// store is one of yours: a cdc.Source and cdc.Reader with writes of its own.
type store interface {
	cdc.Source
	Put(ctx context.Context, table, id string, record cdc.Record) error
	Remove(ctx context.Context, table, id string) error
	// FailNext makes the next write fail, without effect; LoseAnswer lets it be applied,
	// or not, and gives an error that does not tell which.
	FailNext()
	LoseAnswer(applied bool)
}

// The test of a source. What it has to offer is what the harness names; the rest of the
// suite is left out.
func ExampleRun() {
	var open func(t *testing.T) store // opens an empty one
	TestSource := func(t *testing.T) {
		sourcetest.Run(t, func(t *testing.T) sourcetest.Harness {
			s := open(t)
			return sourcetest.Harness{
				Source:    s,
				Resource:  "things",
				Insert:    s.Put,
				Update:    s.Put,
				Delete:    s.Remove,
				FailNext:  s.FailNext,
				DoubtNext: s.LoseAnswer,
			}
		})
	}
	_ = TestSource // in a file _test.go it is a function
	// Output:
}
