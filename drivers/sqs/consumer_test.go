package sqs_test

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/sqs"
	"github.com/s3db-go/replicator/internal/testbed"
	"github.com/s3db-go/replicator/store"
)

//go:embed testdata/consumer.mjs
var consumer string

// empty waits until a queue holds nothing, neither waiting nor taken and not done.
func (s *service) empty(queueURL string) {
	s.t.Helper()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for {
		out, err := s.client.GetQueueAttributes(s.t.Context(), &awssqs.GetQueueAttributesInput{
			QueueUrl: &queueURL, AttributeNames: []types.QueueAttributeName{"All"},
		})
		if err != nil {
			s.t.Fatal(err)
		}
		if out.Attributes["ApproximateNumberOfMessages"] == "0" && out.Attributes["ApproximateNumberOfMessagesNotVisible"] == "0" {
			return
		}
		<-look.C
	}
}

// TestOriginalConsumerAppliesOurs: s3db.js's queue consumer, which knows nothing of us,
// keeps a database equal to ours under inserts, updates and deletes.
func TestOriginalConsumerAppliesOurs(t *testing.T) {
	const writers, writes = 4, 40
	s := newService(t)
	queueURL := s.queue("orders.fifo", nil)
	r, orders := replicate(t, sqs.New(sqs.Options{QueueURL: queueURL, Endpoint: s.endpoint, Region: "us-east-1", Credentials: keys()}),
		replicator.Route{From: "orders"})
	definition := `{"name":"orders","attributes":{"customer":"string|optional","total":"number|optional","note":"string|optional"}}`
	program := testbed.Node(t, consumer, s.emulator, queueURL, definition)

	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			dice := rand.New(rand.NewPCG(7, uint64(w)))
			alive := map[string]bool{}
			for i := range writes {
				id := fmt.Sprintf("w%d-%d", w, dice.IntN(8))
				record := store.Record{"customer": fmt.Sprint("c", i), "total": float64(dice.IntN(10000)) / 100}
				if i%3 == 0 {
					record["note"] = "Größe 🚀 \"quoted\"\n" + strings.Repeat("é", i)
				}
				var err error
				switch {
				case !alive[id]:
					record["id"], alive[id] = id, true
					_, err = orders.Insert(t.Context(), record)
				case dice.IntN(4) == 0:
					alive[id] = false
					err = orders.Delete(t.Context(), id)
				default:
					_, err = orders.Update(t.Context(), id, record)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	writing.Wait()
	if err := r.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.empty(queueURL)
	program.In.Close()
	out, err := io.ReadAll(program.Out)
	if err != nil {
		t.Fatal(err)
	}
	var theirs []map[string]any
	if err := json.Unmarshal(out, &theirs); err != nil {
		t.Fatalf("%v in %.200s", err, out)
	}
	byID := map[string]cdc.Record{}
	for _, r := range theirs {
		fields := cdc.Record{}
		for name, v := range r {
			if !strings.HasPrefix(name, "_") && !strings.HasPrefix(name, "$") && v != nil {
				fields[name] = v
			}
		}
		byID[fields.String("id")] = fields
	}
	n := 0
	for ours, err := range orders.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		if theirs := byID[ours.String("id")]; !ours.Equal(theirs) {
			t.Errorf("ours is %v, theirs %v", ours, theirs)
		}
	}
	if n == 0 || len(byID) != n {
		t.Errorf("we have %d records, they have %d", n, len(byID))
	}
	t.Logf("%d writes left %d records", writers*writes, n)
}
