package testbed_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/s3db-go/replicator/internal/testbed"
)

// TestBigQueryAnswers holds that the stand-in is built, answers, and takes faults.
func TestBigQueryAnswers(t *testing.T) {
	s := testbed.BigQuery(t)
	ask := func() (int, string) {
		answer, err := http.Get(s.Endpoint + "/projects/p/datasets/absent")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(text)
	}
	if code, text := ask(); code != http.StatusNotFound || !strings.Contains(text, "Not found: Dataset p:absent") {
		t.Errorf("an absent dataset: %d %s", code, text)
	}
	s.Fault(t, testbed.BigQueryFault{Kind: "denied", Surface: "rest", Times: 2})
	if code, text := ask(); code != http.StatusForbidden {
		t.Errorf("with a fault on: %d %s", code, text)
	}
	if on := s.Faults(t); len(on) != 1 || on[0].Times != 1 {
		t.Errorf("after one of two: %+v", on)
	}
	s.ClearFaults(t)
	if code, text := ask(); code != http.StatusNotFound {
		t.Errorf("with the fault cleared: %d %s", code, text)
	}
}
