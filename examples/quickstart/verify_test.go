package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/webhook"
	"github.com/s3db-go/replicator/store"
)

// TestVerifyFindsEveryFault runs a small shop, damages what it left in one place, and
// expects to be told of just that.
func TestVerifyFindsEveryFault(t *testing.T) {
	clean, work := t.TempDir(), mustPlan(t, 80)
	receiver, err := startCRM()
	if err != nil {
		t.Fatal(err)
	}
	defer receiver.close()
	done, _, err := replicate(t.Context(), clean, receiver.endpoint, work, counts{})
	if err != nil {
		t.Fatal(err)
	}
	changes, _, _ := receiver.account()
	first, second := pair(t, changes)

	const backupIsFine, crmIsFine = "backup: 73 records, 0 missing, 0 different", "crm: 37 records, 0 missing, 0 different"
	const shopIsFine, historyIsFine = "shop: 73 records, which show all 183 acknowledged writes",
		"crm: 104 changes, 0 lost, 0 out of order, 0 that the shop never made"
	for name, test := range map[string]struct {
		store  string // where edit changes something
		edit   func(ctx context.Context, db *store.DB) error
		crm    func(c *crm)
		says   []string
		faults int
	}{
		"nothing": {says: []string{shopIsFine, backupIsFine, crmIsFine, historyIsFine}},
		"a record that the backup lost": {
			store: "backup",
			edit:  func(ctx context.Context, db *store.DB) error { return db.Resource("orders").Delete(ctx, "o-000003") },
			says:  []string{shopIsFine, "backup: 73 records, 1 missing, 0 different", crmIsFine, "orders/o-000003 is missing"}, faults: 1,
		},
		"a record that the backup has otherwise": {
			store: "backup",
			edit: func(ctx context.Context, db *store.DB) error {
				_, err := db.Resource("orders").Update(ctx, "o-000003", store.Record{"status": "lost"})
				return err
			},
			says: []string{"backup: 73 records, 0 missing, 1 different", crmIsFine, "orders/o-000003 is map["}, faults: 1,
		},
		"a record that the backup did not delete": {
			store: "backup",
			edit: func(ctx context.Context, db *store.DB) error {
				record, err := db.Resource("orders").Get(ctx, "o-000003")
				if err != nil {
					return err
				}
				record["id"] = "o-999999"
				return db.Resource("orders").Put(ctx, record)
			},
			says: []string{"backup: 73 records, 0 missing, 1 different", "orders/o-999999 must not be there"}, faults: 1,
		},
		"an acknowledged insert that the shop lost": { // it is then in the backup, and must not be
			store:  "shop",
			edit:   func(ctx context.Context, db *store.DB) error { return db.Resource("customers").Delete(ctx, "c-00000") },
			says:   []string{"shop: 183 acknowledged writes must give 73 records, 1 missing, 0 different", "customers/c-00000 is missing"},
			faults: 2,
		},
		"an acknowledged update that the shop lost": {
			store: "shop",
			edit: func(ctx context.Context, db *store.DB) error {
				_, err := db.Resource("customers").Update(ctx, "c-00000", store.Record{"points": 123456})
				return err
			},
			says: []string{"shop: 183 acknowledged writes must give 73 records, 0 missing, 1 different"}, faults: 2,
		},
		"a change that the CRM lost": {
			crm:    func(c *crm) { c.changes = slices.Delete(c.changes, first, first+1) },
			says:   []string{shopIsFine, backupIsFine, crmIsFine, "crm: 103 changes, 1 lost, 0 out of order, 0 that the shop never made", "never came"},
			faults: 1,
		},
		"two changes of a record that came in the wrong order": {
			crm: func(c *crm) { c.changes[first], c.changes[second] = c.changes[second], c.changes[first] },
			says: []string{"crm: 37 records, 0 missing, 1 different",
				"crm: 104 changes, 0 lost, 1 out of order, 0 that the shop never made", "came after a later one"},
			faults: 2,
		},
		"a version that does not grow": {
			crm:    func(c *crm) { c.changes[second].Version = c.changes[first].Version },
			says:   []string{crmIsFine, "crm: 104 changes, 0 lost, 1 out of order, 0 that the shop never made"},
			faults: 1,
		},
		"a change under two ids": {
			crm: func(c *crm) {
				again := c.changes[second]
				again.ID, again.Version = "another", again.Version+1
				c.changes = append(c.changes, again)
			},
			says:   []string{crmIsFine, "crm: 105 changes, 0 lost, 0 out of order, 1 that the shop never made", "came twice"},
			faults: 1,
		},
		"a change that the shop never made": {
			crm: func(c *crm) {
				invented := c.changes[second]
				invented.ID, invented.Version = "another", invented.Version+1
				invented.Data = replicator.Record{"id": invented.RecordID, "revision": 99.0}
				c.changes = append(c.changes, invented)
			},
			says: []string{"crm: 37 records, 0 missing, 1 different",
				"crm: 105 changes, 0 lost, 0 out of order, 1 that the shop never made", "revision 99, was never made"},
			faults: 2,
		},
		"a delete that did not come": {
			crm: func(c *crm) {
				c.changes = slices.DeleteFunc(c.changes, func(r received) bool { return r.Operation == replicator.Deleted })
			},
			says:   []string{"crm: 37 records, 0 missing, 4 different", "must not be there", "deleted, revision"},
			faults: 8,
		},
		"a request that the CRM refused": {
			crm:    func(c *crm) { c.refused = append(c.refused, "webhook-signature is wrong") },
			says:   []string{crmIsFine, historyIsFine, "webhook-signature is wrong"},
			faults: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(clean)); err != nil {
				t.Fatal(err)
			}
			if test.edit != nil {
				edit(t, dir, test.store, test.edit)
			}
			damaged := &crm{changes: slices.Clone(changes)}
			if test.crm != nil {
				test.crm(damaged)
			}
			var out strings.Builder
			err := verify(t.Context(), &out, dir, damaged, work, done)
			for _, line := range test.says {
				if !strings.Contains(out.String(), line) {
					t.Errorf("does not say %q", line)
				}
			}
			want := "faults found by reading back: " + strconv.Itoa(test.faults)
			if (test.faults == 0 && err != nil) || (test.faults > 0 && (err == nil || err.Error() != want)) {
				t.Errorf("gives %v, want %d faults", err, test.faults)
			}
			if t.Failed() {
				t.Log(out.String())
			}
		})
	}
}

func mustPlan(t *testing.T, records int) workload {
	t.Helper()
	work, err := newWorkload(records)
	if err != nil {
		t.Fatal(err)
	}
	return work
}

// pair gives the places of the only two changes of a record that is still there.
func pair(t *testing.T, changes []received) (first, second int) {
	t.Helper()
	places := make(map[key][]int)
	for i, c := range changes {
		places[c.key()] = append(places[c.key()], i)
	}
	for _, c := range changes {
		if at := places[c.key()]; len(at) == 2 && changes[at[1]].Operation == replicator.Updated {
			return at[0], at[1]
		}
	}
	t.Fatal("no record with two changes")
	return 0, 0
}

func edit(t *testing.T, dir, name string, change func(ctx context.Context, db *store.DB) error) {
	t.Helper()
	db, err := store.Open(t.Context(), fileURL(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := change(t.Context(), db); err != nil {
		t.Fatal(err)
	}
}

// TestCRMRefusesWhatIsNotSigned sends it a request of the real driver, altered on the
// way.
func TestCRMRefusesWhatIsNotSigned(t *testing.T) {
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	for name, test := range map[string]struct {
		alter  func(*http.Request)
		reason string // "" for what is accepted
	}{
		"nothing":       {func(*http.Request) {}, ""},
		"no signature":  {header("webhook-signature", ""), "webhook-signature is wrong"},
		"another id":    {header("webhook-id", "x"), "webhook-signature is wrong"},
		"another body":  {func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("{}")); r.ContentLength = 2 }, "webhook-signature is wrong"},
		"an old time":   {header("webhook-timestamp", "1700000000"), "webhook-timestamp is not of now"},
		"no time":       {header("webhook-timestamp", "now"), "webhook-timestamp is not of now"},
		"a second sign": {func(r *http.Request) { r.Header.Set("webhook-signature", "v1,AAAA "+r.Header.Get("webhook-signature")) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			receiver, err := startCRM()
			if err != nil {
				t.Fatal(err)
			}
			defer receiver.close()
			driver := webhook.New(webhook.Options{
				URL: receiver.url, SigningSecrets: []string{receiver.secret}, Client: &http.Client{Transport: altered(test.alter)},
			})
			delivery := replicator.Delivery{
				Change: replicator.Change{ChangeID: replicator.ID{1}, Version: 7, Op: replicator.Inserted, Resource: "customers", RecordID: "c-1"},
				Target: "contacts", Key: replicator.Record{"id": "c-1"}, Record: replicator.Record{"id": "c-1"},
			}
			err = driver.Apply(t.Context(), []replicator.Delivery{delivery})
			changes, _, refused := receiver.account()
			if test.reason == "" {
				if err != nil || len(changes) != 1 || len(refused) != 0 {
					t.Errorf("kept %d, refused %q: %v", len(changes), refused, err)
				}
			} else if err == nil || len(changes) != 0 || !slices.Equal(refused, []string{test.reason}) {
				t.Errorf("kept %d, refused %q, want %q: %v", len(changes), refused, test.reason, err)
			}
		})
	}
}

// altered is a network that somebody sits in.
type altered func(*http.Request)

func (alter altered) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	alter(r)
	return http.DefaultTransport.RoundTrip(r)
}

// TestCRMKnowsRepeats: what comes again counts once, and must not have changed.
func TestCRMKnowsRepeats(t *testing.T) {
	receiver, err := startCRM()
	if err != nil {
		t.Fatal(err)
	}
	defer receiver.close()
	driver := webhook.New(webhook.Options{URL: receiver.url, SigningSecrets: []string{receiver.secret}})
	defer driver.Close()
	send := func(name string) error {
		return driver.Apply(t.Context(), []replicator.Delivery{{
			Change: replicator.Change{ChangeID: replicator.ID{1}, Version: 7, Op: replicator.Inserted, Resource: "customers", RecordID: "c-1"},
			Target: "contacts", Key: replicator.Record{"id": "c-1"}, Record: replicator.Record{"id": "c-1", "name": name},
		}})
	}
	if err := errors.Join(send("Ada"), send("Ada")); err != nil {
		t.Fatal(err)
	}
	if err := send("Eve"); err == nil {
		t.Error("another change under the same id is accepted")
	}
	changes, repeats, refused := receiver.account()
	if len(changes) != 1 || repeats != 1 || len(refused) != 1 || changes[0].Data.String("name") != "Ada" {
		t.Errorf("keeps %v, knows %d repeats, refused %q", changes, repeats, refused)
	}
}
