package route_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/route"
)

func update(before, after cdc.Record) *cdc.Change {
	return &cdc.Change{ChangeID: cdc.ID{1}, Seq: 7, Op: cdc.Updated, Resource: "orders", RecordID: "o1", Before: before, Data: after}
}

func worth(total int64) cdc.Record { return cdc.Record{"id": "o1", "total": total} }

// only gives the only verdict.
func only(t *testing.T, r *route.Router, c *cdc.Change) route.Verdict {
	t.Helper()
	verdicts, err := r.Route(nil, c)
	if err != nil || len(verdicts) != 1 {
		t.Fatal(verdicts, err)
	}
	return verdicts[0]
}

func TestLeavingAFilter(t *testing.T) {
	premium := func(c cdc.Change) bool { return c.Data.Int("total") >= 100 }
	premiumUndeleted := func(c cdc.Change) bool { return premium(c) && c.Op != cdc.Deleted }
	broken := func(c cdc.Change) bool {
		return c.Op != cdc.Deleted && premium(c) || c.Op == cdc.Deleted && c.Data["nil"].(bool)
	}
	for name, tt := range map[string]struct {
		rule    route.Rule
		options route.Options
		change  *cdc.Change
		skip    string
		removed bool
		fails   bool
	}{
		"kept by default":                      {route.Rule{ShouldReplicate: premium}, route.Options{}, update(worth(150), worth(50)), route.SkipRule, false, false},
		"removed":                              {route.Rule{ShouldReplicate: premium, OnLeave: route.LeaveRemove}, route.Options{}, update(worth(150), worth(50)), "", true, false},
		"never there":                          {route.Rule{ShouldReplicate: premium, OnLeave: route.LeaveRemove}, route.Options{}, update(worth(60), worth(50)), route.SkipRule, false, false},
		"former state not known":               {route.Rule{ShouldReplicate: premium, OnLeave: route.LeaveRemove}, route.Options{}, update(nil, worth(50)), route.SkipRule, false, false},
		"a filter that refuses deletes":        {route.Rule{ShouldReplicate: premiumUndeleted, OnLeave: route.LeaveRemove}, route.Options{}, update(worth(150), worth(50)), route.SkipRule, false, false},
		"by the destination's":                 {route.Rule{OnLeave: route.LeaveRemove}, route.Options{ShouldReplicate: premium}, update(worth(150), worth(50)), "", true, false},
		"the destination's refuses it":         {route.Rule{ShouldReplicate: premium, OnLeave: route.LeaveRemove}, route.Options{ShouldReplicate: premiumUndeleted}, update(worth(150), worth(50)), route.SkipDestination, false, false},
		"a filter that panics":                 {route.Rule{ShouldReplicate: broken, OnLeave: route.LeaveRemove}, route.Options{}, update(worth(150), worth(50)), "", false, true},
		"still in":                             {route.Rule{ShouldReplicate: premium, OnLeave: route.LeaveRemove}, route.Options{}, update(worth(150), worth(200)), "", false, false},
		"removed though Actions has no delete": {route.Rule{Actions: cdc.Inserted | cdc.Updated, ShouldReplicate: premium, OnLeave: route.LeaveRemove}, route.Options{}, update(worth(150), worth(50)), "", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			tt.rule.From = "orders"
			v := only(t, route.New([]route.Rule{tt.rule}, tt.options), tt.change)
			if v.Skip != tt.skip || (v.Err != nil) != tt.fails {
				t.Fatalf("skip %q, err %v", v.Skip, v.Err)
			}
			if removed := v.Delivery.Op == cdc.Deleted; removed != tt.removed {
				t.Errorf("removed is %v", removed)
			}
			if !tt.removed {
				return
			}
			d := v.Delivery
			if d.Record != nil || d.ChangeID != tt.change.ChangeID || v.Lane != "o1" {
				t.Errorf("%+v in lane %q", d, v.Lane)
			}
			if diff := cmp.Diff(worth(150), d.Before); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOrderBy(t *testing.T) {
	customer := func(name string) cdc.Record { return cdc.Record{"id": "o1", "customer": name} }
	r := route.New([]route.Rule{{From: "orders", OrderBy: func(c cdc.Change) string { return c.Data.String("customer") }}}, route.Options{})
	alice := only(t, r, update(customer("alice"), customer("alice")))
	if alice.OldLane != "" || !alice.Grouped {
		t.Errorf("%q, %q", alice.Lane, alice.OldLane)
	}
	moved := only(t, r, update(customer("alice"), customer("bob")))
	if moved.OldLane != alice.Lane || moved.Lane == alice.Lane {
		t.Errorf("from %q to %q, where %q was before", moved.OldLane, moved.Lane, alice.Lane)
	}
	other := update(customer("bob"), customer("bob"))
	other.RecordID = "o2"
	if v := only(t, r, other); v.Lane != moved.Lane {
		t.Errorf("%q and %q", v.Lane, moved.Lane)
	}
	// What leaves a filter and its name at once keeps its place in both.
	filtered := route.New([]route.Rule{{
		From: "orders", ShouldReplicate: func(c cdc.Change) bool { return c.Data.String("customer") != "bob" }, OnLeave: route.LeaveRemove,
		OrderBy: func(c cdc.Change) string { return c.Data.String("customer") },
	}}, route.Options{})
	if gone := only(t, filtered, update(customer("alice"), customer("bob"))); gone.Delivery.Op != cdc.Deleted || gone.Lane != alice.Lane || gone.OldLane != moved.Lane {
		t.Errorf("%s from %q to %q", gone.Delivery.Op, gone.Lane, gone.OldLane)
	}
	// Without a name there is no order, so each change has a lane of its own.
	first, second := update(customer("alice"), customer("")), update(customer(""), customer(""))
	second.ChangeID = cdc.ID{2}
	a, b := only(t, r, first), only(t, r, second)
	if a.Lane == b.Lane || a.OldLane != "" || a.Lane == "" {
		t.Errorf("%q and %q, from %q", a.Lane, b.Lane, a.OldLane)
	}
	// A group named like a record is not that record's lane.
	if v := only(t, r, update(nil, customer("o1"))); v.Lane == "o1" {
		t.Errorf("%q", v.Lane)
	}
	broken := route.New([]route.Rule{{From: "orders", OrderBy: func(c cdc.Change) string { panic(c.Data["customer"]) }}}, route.Options{})
	if v := only(t, broken, update(nil, customer("alice"))); cdc.FaultOf(v.Err) != cdc.RecordFault || v.Lane != "" {
		t.Errorf("%v in lane %q", v.Err, v.Lane)
	}
}
