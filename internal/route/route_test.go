package route_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/route"
)

// dropID is a Transform that passes on all but the id.
func dropID(c cdc.Change) (cdc.Record, error) {
	delete(c.Data, "id")
	return c.Data, nil
}

func inserted(data cdc.Record) *cdc.Change {
	return &cdc.Change{Op: cdc.Inserted, Resource: "users", RecordID: "u1", Data: data}
}

func updated(before, data cdc.Record) *cdc.Change {
	return &cdc.Change{Op: cdc.Updated, Resource: "users", RecordID: "u1", Data: data, Before: before}
}

func deleted(last cdc.Record) *cdc.Change {
	return &cdc.Change{Op: cdc.Deleted, Resource: "users", RecordID: "u1", Data: last}
}

// one routes a change by a single rule that wants it.
func one(t *testing.T, rule route.Rule, o route.Options, c *cdc.Change) route.Verdict {
	t.Helper()
	if rule.From == "" {
		rule.From = "users"
	}
	o.Destination = "backup"
	got := verdicts(t, route.New([]route.Rule{rule}, o), nil, c)
	if len(got) != 1 {
		t.Fatalf("%d verdicts, want 1", len(got))
	}
	return got[0]
}

// delivered is one for a change that must be delivered.
func delivered(t *testing.T, rule route.Rule, o route.Options, c *cdc.Change) route.Verdict {
	t.Helper()
	v := one(t, rule, o, c)
	if v.Err != nil || v.Skip != "" {
		t.Fatalf("not delivered: skip %q, error %v", v.Skip, v.Err)
	}
	return v
}

// failed is one for a change that must fail; it gives the text of the error.
func failed(t *testing.T, rule route.Rule, o route.Options, c *cdc.Change) string {
	t.Helper()
	v := one(t, rule, o, c)
	if v.Err == nil {
		t.Fatalf("no error, skip %q", v.Skip)
	}
	if cdc.FaultOf(v.Err) != cdc.RecordFault {
		t.Errorf("%v is %v, want permanent", v.Err, cdc.FaultOf(v.Err))
	}
	if !cmp.Equal(v.Delivery, cdc.Delivery{}, cmp.AllowUnexported(cdc.Decimal{})) {
		t.Errorf("a failure carries a delivery: %v", v.Delivery)
	}
	return v.Err.Error()
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q lacks %q", text, part)
		}
	}
}

func limits(l cdc.Limits) func(string) cdc.Limits { return func(string) cdc.Limits { return l } }

func TestWants(t *testing.T) {
	r := route.New([]route.Rule{
		{From: "users", Actions: cdc.Inserted},
		{From: "users", To: "archive", Actions: cdc.Deleted},
		{From: "plg_audit"},
	}, route.Options{})
	star := route.New([]route.Rule{{From: "*", Actions: cdc.Updated}, {From: "plg_audit"}}, route.Options{})
	for _, test := range []struct {
		router   *route.Router
		resource string
		op       cdc.Op
		want     bool
	}{
		{r, "users", cdc.Inserted, true},
		{r, "users", cdc.Updated, false},
		{r, "users", cdc.Deleted, true},
		{r, "orders", cdc.Inserted, false},
		{r, "plg_audit", cdc.Updated, true},
		{star, "users", cdc.Updated, true},
		{star, "users", cdc.Inserted, false},
		{star, "plg_other", cdc.Updated, false},
		{star, "plg_audit", cdc.Inserted, true},
	} {
		if got := test.router.Wants(test.resource, test.op); got != test.want {
			t.Errorf("Wants(%q, %v) = %v, want %v", test.resource, test.op, got, test.want)
		}
		c := &cdc.Change{Op: test.op, Resource: test.resource, RecordID: "1", Data: cdc.Record{}}
		if got := len(verdicts(t, test.router, nil, c)) > 0; got != test.want {
			t.Errorf("Route(%q, %v) gave a verdict: %v, want %v as Wants says", test.resource, test.op, got, test.want)
		}
	}
}

func TestARuleForAllLeavesOutWhatOnlyANameBringsIn(t *testing.T) {
	r := route.New([]route.Rule{{From: "*"}, {From: "plg_audit", To: "audit"}}, route.Options{})
	got := verdicts(t, r, nil, &cdc.Change{Op: cdc.Inserted, Resource: "plg_audit", RecordID: "1", Data: cdc.Record{}})
	if len(got) != 1 || got[0].Target != "audit" {
		t.Errorf("verdicts %v, want the one of the rule that names it", got)
	}
}

func TestSeveralRulesGiveTheirVerdictsInOrder(t *testing.T) {
	r := route.New([]route.Rule{
		{From: "users", To: "people"},
		{From: "*"},
		{From: "users", To: "never", Actions: cdc.Deleted},
		{From: "users", To: "archive"},
	}, route.Options{})
	kept := make([]route.Verdict, 1, 8)
	got := verdicts(t, r, kept, inserted(cdc.Record{"id": "u1"}))
	if &got[0] != &kept[0] {
		t.Error("the caller's slice was not used")
	}
	var targets []string
	var rules []int
	for _, v := range got[1:] {
		targets, rules = append(targets, v.Target), append(rules, v.Rule)
	}
	if want := []string{"people", "users", "archive"}; !slices.Equal(targets, want) {
		t.Errorf("targets %v, want %v", targets, want)
	}
	if want := []int{0, 1, 3}; !slices.Equal(rules, want) {
		t.Errorf("rules %v, want %v", rules, want)
	}
}

func TestIdentitySharesData(t *testing.T) {
	data, before := cdc.Record{"id": "u1", "name": "Ann"}, cdc.Record{"id": "u1", "name": "An"}
	c := updated(before, data)
	c.Version = 7
	v := delivered(t, route.Rule{}, route.Options{}, c)
	want := cdc.Delivery{Change: *c, Target: "users", Key: cdc.Record{"id": "u1"}, OrderKey: "u1", Record: data, Before: before}
	want.Data, want.Change.Before = nil, nil
	if diff := cmp.Diff(want, v.Delivery); diff != "" {
		t.Error(diff)
	}
	v.Delivery.Record["name"] = "shared"
	if data["name"] != "shared" {
		t.Error("Record is a copy of Data")
	}
	if v.Lane != "u1" || v.OldLane != "" {
		t.Errorf("lanes %q and %q, want the record id and none", v.Lane, v.OldLane)
	}
}

func TestDeleteCarriesTheLastStateAsBefore(t *testing.T) {
	v := delivered(t, route.Rule{Transform: dropID}, route.Options{}, deleted(cdc.Record{"id": "u1", "name": "Ann"}))
	if v.Delivery.Record != nil {
		t.Errorf("a delete has the record %v", v.Delivery.Record)
	}
	if diff := cmp.Diff(cdc.Record{"name": "Ann"}, v.Delivery.Before); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(cdc.Record{"id": "u1"}, v.Delivery.Key); diff != "" {
		t.Error(diff)
	}
}

func TestSkips(t *testing.T) {
	no := func(cdc.Change) bool { return false }
	none := func(cdc.Change) (cdc.Record, error) { return nil, nil }
	for _, test := range []struct {
		name string
		rule route.Rule
		o    route.Options
		want string
	}{
		{"destination first", route.Rule{ShouldReplicate: no, Transform: none}, route.Options{ShouldReplicate: no}, route.SkipDestination},
		{"then the rule", route.Rule{ShouldReplicate: no, Transform: none}, route.Options{}, route.SkipRule},
		{"then Transform", route.Rule{Transform: none}, route.Options{}, route.SkipTransform},
	} {
		t.Run(test.name, func(t *testing.T) {
			if v := one(t, test.rule, test.o, inserted(cdc.Record{})); v.Skip != test.want || v.Err != nil {
				t.Errorf("skip %q, error %v, want %q", v.Skip, v.Err, test.want)
			}
		})
	}
}

func TestUserFunctionsOwnWhatTheyGet(t *testing.T) {
	spoil := func(c cdc.Change) bool {
		if c.Data["name"] != "Ann" || c.Before["name"] != "An" {
			t.Errorf("sees what another function did: %v, %v", c.Data, c.Before)
		}
		clear(c.Data)
		c.Before["name"] = "spoiled"
		return true
	}
	calls := 0
	rule := route.Rule{ShouldReplicate: spoil, Transform: func(c cdc.Change) (cdc.Record, error) {
		calls++
		if name := c.Data["name"]; calls == 1 && name != "Ann" || calls == 2 && name != "An" {
			t.Errorf("call %d sees %v", calls, c.Data)
		}
		c.Data["name"] = strings.ToUpper(c.Data.String("name"))
		clear(c.Before)
		return c.Data, nil
	}}
	c := updated(cdc.Record{"id": "u1", "name": "An"}, cdc.Record{"id": "u1", "name": "Ann"})
	v := delivered(t, rule, route.Options{ShouldReplicate: spoil}, c)
	if c.Data["name"] != "Ann" || c.Before["name"] != "An" {
		t.Errorf("the change was modified: %v, %v", c.Data, c.Before)
	}
	if v.Delivery.Record["name"] != "ANN" || v.Delivery.Before["name"] != "AN" {
		t.Errorf("delivered %v after %v", v.Delivery.Record, v.Delivery.Before)
	}
}

func TestTransformsResultIsNormalized(t *testing.T) {
	give := func(r cdc.Record) route.Rule {
		return route.Rule{Transform: func(cdc.Change) (cdc.Record, error) { return r, nil }}
	}
	v := delivered(t, give(cdc.Record{"id": "u1", "n": 7}), route.Options{}, inserted(cdc.Record{}))
	if n, ok := v.Delivery.Record["n"].(int64); !ok || n != 7 {
		t.Errorf("n is %T %v, want int64 7", v.Delivery.Record["n"], v.Delivery.Record["n"])
	}
	text := failed(t, give(cdc.Record{"deep": map[string]any{"fn": func() {}}}), route.Options{}, inserted(cdc.Record{}))
	contains(t, text, "backup", "users", "Transform", "deep.fn")
}

func TestUserErrorsAndPanicsAreTheRecordsFailure(t *testing.T) {
	const canary = "4111-1111"
	card := func(c cdc.Change) string { return c.Data.String("card") }
	parse := func(c cdc.Change) bool {
		if _, err := strconv.Atoi(card(c)); err != nil {
			panic(err)
		}
		return true
	}
	bad := errors.New("no total")
	for _, test := range []struct {
		name string
		rule route.Rule
		o    route.Options
		want []string
	}{
		{"destination's filter panics", route.Rule{}, route.Options{ShouldReplicate: parse},
			[]string{"the destination's ShouldReplicate panicked", "*strconv.NumError", "route_test.go:"}},
		{"rule's filter panics", route.Rule{ShouldReplicate: func(c cdc.Change) bool { panic(card(c)) }}, route.Options{},
			[]string{"the route's ShouldReplicate panicked", "a string", "route_test.go:"}},
		{"Transform panics in the runtime", route.Rule{Transform: func(c cdc.Change) (cdc.Record, error) { return cdc.Record{"n": c.Data["card"].(int64)}, nil }}, route.Options{},
			[]string{"the route's Transform panicked", "interface conversion", "string, not int64", "route_test.go:"}},
		{"Transform errs", route.Rule{Transform: func(cdc.Change) (cdc.Record, error) { return cdc.Record{}, cdc.Unavailable(bad) }}, route.Options{},
			[]string{"the route's Transform: no total"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.rule.To = "people"
			text := failed(t, test.rule, test.o, inserted(cdc.Record{"id": "u1", "card": canary}))
			contains(t, text, append(test.want, "backup", "users → people u1")...)
			if strings.Contains(text, canary) {
				t.Errorf("%q quotes the record", text)
			}
		})
	}
	v := one(t, route.Rule{Transform: func(cdc.Change) (cdc.Record, error) { return nil, bad }}, route.Options{}, inserted(cdc.Record{}))
	if !errors.Is(v.Err, bad) {
		t.Errorf("%v does not wrap the user's error", v.Err)
	}
}

func TestAFormerStateThatCantBeRoutedStopsNothing(t *testing.T) {
	for name, bad := range map[string]func() (cdc.Record, error){
		"error": func() (cdc.Record, error) { return nil, errors.New("was bad") },
		"panic": func() (cdc.Record, error) { panic("was bad") },
		"skip":  func() (cdc.Record, error) { return nil, nil },
	} {
		t.Run(name, func(t *testing.T) {
			rule := route.Rule{Transform: func(c cdc.Change) (cdc.Record, error) {
				if c.Data["ok"] != true {
					return bad()
				}
				return c.Data, nil
			}}
			v := delivered(t, rule, route.Options{}, updated(cdc.Record{"ok": false}, cdc.Record{"ok": true}))
			if v.Delivery.Before != nil {
				t.Errorf("Before is %v", v.Delivery.Before)
			}
		})
	}
}

func TestAChangeWithoutDataFails(t *testing.T) {
	contains(t, failed(t, route.Rule{}, route.Options{}, inserted(nil)), "no data")
}

func Example() {
	r := route.New([]route.Rule{{
		From: "orders", To: "premium_orders", Key: []string{"order_id"},
		ShouldReplicate: func(c cdc.Change) bool { return c.Data.Float("total") >= 100 },
		Transform: func(c cdc.Change) (cdc.Record, error) {
			return cdc.Record{"order_id": c.RecordID, "total": c.Data["total"]}, nil
		},
	}}, route.Options{Destination: "analytics"})

	for id, total := range []float64{80, 120} {
		c := cdc.Change{Op: cdc.Inserted, Resource: "orders", RecordID: fmt.Sprint(id), Data: cdc.Record{"total": total}}
		verdicts, err := r.Route(nil, &c)
		if err != nil {
			fmt.Println(err)
		}
		for _, v := range verdicts {
			fmt.Println(v.Target, v.Delivery.Key, v.Delivery.Record, v.Skip)
		}
	}
	// Output:
	// premium_orders map[] map[] the route's ShouldReplicate refused it
	// premium_orders map[order_id:1] map[order_id:1 total:120]
}

// verdicts routes a change, which must be possible.
func verdicts(t interface {
	Helper()
	Fatal(args ...any)
}, r *route.Router, dst []route.Verdict, c *cdc.Change) []route.Verdict {
	t.Helper()
	out, err := r.Route(dst, c)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestTransformErrorsAreDiscreet: what the standard library quotes of a record does not
// come through; the rest of the text, and the error itself, does.
func TestTransformErrorsAreDiscreet(t *testing.T) {
	const canary = "canary"
	for name, fail := range map[string]func() error{
		"number": func() error { _, err := strconv.Atoi(canary); return fmt.Errorf("pin: %w", err) },
		"time":   func() error { _, err := time.Parse(time.RFC3339, canary); return fmt.Errorf("pin: %w", err) },
	} {
		rule := route.Rule{Transform: func(cdc.Change) (cdc.Record, error) { return nil, fail() }}
		v := one(t, rule, route.Options{}, inserted(cdc.Record{"id": "u1"}))
		contains(t, v.Err.Error(), "the route's Transform: pin: ")
		if strings.Contains(v.Err.Error(), canary) {
			t.Errorf("%s: %v", name, v.Err)
		}
		if inner := errors.Unwrap(fail()); fmt.Sprintf("%T", inner) == "*strconv.NumError" && !errors.Is(v.Err, strconv.ErrSyntax) {
			t.Errorf("%s: %v does not unwrap", name, v.Err)
		}
	}
}
