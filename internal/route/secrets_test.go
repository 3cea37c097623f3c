package route_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/route"
)

// vault is a schema with secrets at the top, in an object, in the items of a list,
// and as the items of a list.
var vault = []cdc.Field{
	{Name: "name", Type: cdc.TypeString},
	{Name: "password", Type: cdc.TypeString, Secret: true},
	{Name: "profile", Type: cdc.TypeObject, Fields: []cdc.Field{
		{Name: "city", Type: cdc.TypeString},
		{Name: "ssn", Type: cdc.TypeString, Secret: true},
	}},
	{Name: "cards", Type: cdc.TypeArray, Fields: []cdc.Field{{Type: cdc.TypeObject, Fields: []cdc.Field{
		{Name: "brand", Type: cdc.TypeString},
		{Name: "number", Type: cdc.TypeString, Secret: true},
	}}}},
	{Name: "tokens", Type: cdc.TypeArray, Fields: []cdc.Field{{Type: cdc.TypeString, Secret: true}}},
}

func schemaOf(fields []cdc.Field) func(string, int) (cdc.Schema, bool, error) {
	s := cdc.Schema{Resource: "users", Version: 1, Key: []string{"id"}, Fields: fields}
	return func(string, int) (cdc.Schema, bool, error) { return s, true, nil }
}

func person(n int) cdc.Record {
	s := func(what string) string { return fmt.Sprintf("%s-canary-%d", what, n) }
	return cdc.Record{
		"id": "u1", "name": "Ann", "password": s("password"),
		"profile": map[string]any{"city": "Bern", "ssn": s("ssn")},
		"cards":   []any{map[string]any{"brand": "V", "number": s("number")}, nil},
		"tokens":  []any{s("token")},
	}
}

func publicPerson() cdc.Record {
	return cdc.Record{
		"id": "u1", "name": "Ann",
		"profile": map[string]any{"city": "Bern"},
		"cards":   []any{map[string]any{"brand": "V"}, nil},
	}
}

func TestSecretsAreRemoved(t *testing.T) {
	o := route.Options{Schema: schemaOf(vault)}
	c := updated(person(1), person(2))
	c.SchemaVersion = 1
	v := delivered(t, route.Rule{}, o, c)
	if diff := cmp.Diff(publicPerson(), v.Delivery.Record); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(publicPerson(), v.Delivery.Before); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(updated(person(1), person(2)).Data, c.Data); diff != "" {
		t.Error("the change was modified:", diff)
	}
	known, _, _ := o.Schema("users", 1)
	if diff := cmp.Diff(publicPerson(), route.WithoutSecrets(person(1), known, known.Version)); diff != "" {
		t.Error(diff)
	}
	if v := delivered(t, route.Rule{}, o, deleted(person(1))); strings.Contains(fmt.Sprint(v), "canary") {
		t.Errorf("a delete carries secrets: %v", v)
	}
}

func TestSecretsPassWhereTheyMay(t *testing.T) {
	o := route.Options{Schema: schemaOf(vault)}
	for name, test := range map[string]struct {
		rule route.Rule
		o    route.Options
		want func(cdc.Record)
	}{
		"named": {route.Rule{Secrets: []string{"password"}}, o, func(r cdc.Record) { r["password"] = "password-canary-1" }},
		"nested, named": {route.Rule{Secrets: []string{"profile.ssn", "cards.number", "tokens"}}, o, func(r cdc.Record) {
			all := person(1)
			r["profile"], r["cards"], r["tokens"] = all["profile"], all["cards"], all["tokens"]
		}},
		"the target encrypts": {route.Rule{}, route.Options{Schema: o.Schema, Limits: limits(cdc.Limits{Secrets: true})},
			func(r cdc.Record) {
				all := person(1)
				r["password"], r["profile"] = all["password"], all["profile"]
			}},
		"the target encrypts, in lists where named": {route.Rule{Secrets: []string{"tokens"}},
			route.Options{Schema: o.Schema, Limits: limits(cdc.Limits{Secrets: true})},
			func(r cdc.Record) {
				all := person(1)
				r["password"], r["profile"], r["tokens"] = all["password"], all["profile"], all["tokens"]
			}},
		"the target encrypts, behind a transform": {route.Rule{
			Secrets:   []string{"password"},
			Transform: func(c cdc.Change) (cdc.Record, error) { return c.Data, nil },
		}, route.Options{Schema: o.Schema, Limits: limits(cdc.Limits{Secrets: true})},
			func(r cdc.Record) { r["password"] = person(1)["password"] }},
	} {
		t.Run(name, func(t *testing.T) {
			want := publicPerson()
			test.want(want)
			v := delivered(t, test.rule, test.o, inserted(person(1)))
			if diff := cmp.Diff(want, v.Delivery.Record); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAValueThatHidesASecretByItsShapeIsRemoved(t *testing.T) {
	fields := append(slices.Clone(vault), cdc.Field{Name: "home", Type: cdc.TypeObject, Fields: []cdc.Field{
		{Name: "address", Type: cdc.TypeObject, Fields: []cdc.Field{{Name: "city", Type: cdc.TypeString}}},
		{Name: "code", Type: cdc.TypeString, Secret: true},
	}})
	for name, v := range map[string]any{
		"profile": `{"ssn":"canary"}`,
		"cards":   map[string]any{"number": "canary"},
		"tokens":  "canary",
		"home":    []any{map[string]any{"code": "canary"}},
	} {
		data := cdc.Record{"id": "u1", name: v}
		got := delivered(t, route.Rule{}, route.Options{Schema: schemaOf(fields)}, inserted(data))
		if diff := cmp.Diff(cdc.Record{"id": "u1"}, got.Delivery.Record); diff != "" {
			t.Error(name, diff)
		}
	}
}

func TestNothingIsSentWhileTheSecretsCantBeTold(t *testing.T) {
	c := inserted(person(1))
	c.SchemaVersion = 2
	away := errors.New("no route to the source")
	r := route.New([]route.Rule{{From: "users"}}, route.Options{
		Limits: limits(cdc.Limits{Secrets: true}), // which encrypts only what it knows to be secret
		Schema: func(_ string, version int) (cdc.Schema, bool, error) {
			if version != 2 {
				t.Errorf("version %d was asked for, want 2", version)
			}
			return cdc.Schema{}, false, away
		},
	})
	if got, err := r.Route(nil, c); !errors.Is(err, away) || len(got) > 0 {
		t.Errorf("%v, %v; want nothing decided", got, err)
	}
	if _, _, err := r.Shape("users", 0, 2); !errors.Is(err, away) {
		t.Errorf("Shape: %v", err)
	}
}

// TestNothingHiddenIsInAVerdict is the promise about secrets, whatever the change
// and the rules: a field that Transform drops and a secret that may not pass are in
// no part of any verdict, errors and lanes included, and user functions that spoil
// what they get spoil nothing.
func TestNothingHiddenIsInAVerdict(t *testing.T) {
	const canary = "CANARY"
	secret := rapid.SampledFrom([]any{canary, []byte(canary), []any{canary}, map[string]any{canary: canary}, nil})
	value := rapid.SampledFrom([]any{"x", int64(1), nil, true, []any{"y"}, map[string]any{"z": "z"}})
	record := rapid.Custom(func(t *rapid.T) cdc.Record {
		r := cdc.Record{"id": "u1"}
		draw := func(in map[string]any, name string, g *rapid.Generator[any]) {
			if rapid.Bool().Draw(t, "has "+name) {
				in[name] = g.Draw(t, name)
			}
		}
		profile, card := map[string]any{}, map[string]any{}
		draw(r, "name", value)
		draw(r, "password", secret)
		draw(r, "dropped", secret)
		draw(profile, "city", value)
		draw(profile, "ssn", secret)
		draw(card, "number", secret)
		draw(r, "tokens", secret)
		// Half of the time not of the declared shape.
		r["profile"] = rapid.SampledFrom([]any{profile, profile, canary, []any{canary}}).Draw(t, "profile")
		r["cards"] = rapid.SampledFrom([]any{[]any{card, card}, []any{}, []any{canary}, map[string]any{"number": canary}}).Draw(t, "cards")
		return r
	})
	rules := []route.Rule{
		{From: "users", Transform: func(c cdc.Change) (cdc.Record, error) {
			delete(c.Data, "dropped")
			clear(c.Before)
			return c.Data, nil
		}},
		{From: "users", Key: []string{"name"}, Transform: func(c cdc.Change) (cdc.Record, error) {
			return cdc.Record{"name": c.Data.String("name"), "city": c.Data["profile"].(map[string]any)["city"]}, nil
		}},
		{From: "users", Key: []string{"password"}, ShouldReplicate: func(c cdc.Change) bool {
			if c.Data["name"] == "x" {
				panic(fmt.Sprint(c.Data))
			}
			c.Data["spoiled"] = c.Before
			return c.Data["name"] != nil
		}, Transform: func(c cdc.Change) (cdc.Record, error) { return c.Data.Pick("password"), nil }},
	}
	r := route.New(rules, route.Options{Destination: "backup", Schema: schemaOf(vault), ShouldReplicate: func(c cdc.Change) bool {
		clear(c.Data)
		clear(c.Before)
		return true
	}})
	rapid.Check(t, func(t *rapid.T) {
		c := &cdc.Change{Op: rapid.SampledFrom([]cdc.Op{cdc.Inserted, cdc.Updated, cdc.Deleted}).Draw(t, "op"),
			Resource: "users", RecordID: "u1", SchemaVersion: 1, Data: record.Draw(t, "data")}
		if c.Op == cdc.Updated {
			c.Before = record.Draw(t, "before")
		}
		original := fmt.Sprintf("%#v", c)
		verdicts := verdicts(t, r, nil, c)
		if len(verdicts) != len(rules) {
			t.Fatalf("%d verdicts, want %d", len(verdicts), len(rules))
		}
		if after := fmt.Sprintf("%#v", c); after != original {
			t.Fatalf("the change was modified:\n%s\n%s", original, after)
		}
		for _, v := range verdicts {
			// %#v shows every part of the delivery; the error shows only its text.
			text := fmt.Sprintf("%#v %v %+v", v.Delivery, v.Err, v)
			if strings.Contains(text, canary) || strings.Contains(text, fmt.Sprintf("%#v", []byte(canary))) || strings.Contains(text, fmt.Sprint([]byte(canary))) {
				t.Fatalf("rule %d shows what is hidden: %s", v.Rule, text)
			}
		}
	})
}

func TestShape(t *testing.T) {
	pass := func(c cdc.Change) (cdc.Record, error) { return c.Data, nil }
	own := cdc.Schema{Fields: []cdc.Field{{Name: "total", Type: cdc.TypeFloat}}}
	public := []cdc.Field{
		{Name: "name", Type: cdc.TypeString},
		{Name: "profile", Type: cdc.TypeObject, Fields: []cdc.Field{{Name: "city", Type: cdc.TypeString}}},
		{Name: "cards", Type: cdc.TypeArray, Fields: []cdc.Field{{Type: cdc.TypeObject, Fields: []cdc.Field{{Name: "brand", Type: cdc.TypeString}}}}},
	}
	for _, test := range []struct {
		name   string
		rule   route.Rule
		limits cdc.Limits
		want   cdc.Schema
	}{
		{"unchanged", route.Rule{}, cdc.Limits{}, cdc.Schema{Key: []string{"id"}, Fields: public}},
		{"with secrets", route.Rule{}, cdc.Limits{Secrets: true}, cdc.Schema{Key: []string{"id"}, Fields: append(slices.Clone(vault[:3]), public[2])}},
		{"with secrets, transformed", route.Rule{Transform: pass}, cdc.Limits{Secrets: true}, cdc.Schema{Key: []string{"id"}, Fields: public, Open: true}},
		{"transformed", route.Rule{Transform: pass, Key: []string{"name"}}, cdc.Limits{}, cdc.Schema{Key: []string{"name"}, Fields: public, Open: true}},
		{"transformed to a known shape", route.Rule{Transform: pass, Schema: &own}, cdc.Limits{Key: []string{"total"}}, cdc.Schema{Key: []string{"total"}, Fields: own.Fields}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.rule.From = "users"
			r := route.New([]route.Rule{test.rule}, route.Options{Schema: schemaOf(vault), Limits: limits(test.limits)})
			got, ok, err := r.Shape("users", 0, 0)
			test.want.Resource, test.want.Version = "users", 1
			if diff := cmp.Diff(test.want, got); diff != "" || !ok || err != nil {
				t.Error(ok, err, diff)
			}
		})
	}
	if _, ok, _ := route.New([]route.Rule{{From: "users"}}, route.Options{}).Shape("users", 0, 0); ok {
		t.Error("a shape without a schema")
	}
}

// A change that was written when a field was still a secret may be on its way when the
// field is gone, or is none any more.
func TestRetiredSecrets(t *testing.T) {
	const canary = "hush"
	schema := cdc.Schema{
		Version: 2,
		Fields:  []cdc.Field{{Name: "token", Type: cdc.TypeString}, {Name: "name", Type: cdc.TypeString}},
		Retired: []cdc.Field{{Name: "token", Type: cdc.TypeString, Secret: true}, {Name: "gone", Type: cdc.TypeString, Secret: true}},
	}
	r := route.New([]route.Rule{{From: "users"}}, route.Options{Schema: func(string, int) (cdc.Schema, bool, error) { return schema, true, nil }})
	for version, want := range map[int]cdc.Record{
		1: {"name": "Ann"},
		2: {"name": "Ann", "token": canary, "gone": canary},
	} {
		record := cdc.Record{"name": "Ann", "token": canary, "gone": canary}
		c := cdc.Change{Op: cdc.Updated, Resource: "users", RecordID: "1", Data: record, Before: record, SchemaVersion: version}
		v := verdicts(t, r, nil, &c)[0]
		if v.Err != nil || !v.Delivery.Record.Equal(want) || !v.Delivery.Before.Equal(want) {
			t.Errorf("of version %d: %v before %v, %v; want %v", version, v.Delivery.Record, v.Delivery.Before, v.Err, want)
		}
		if shown := route.WithoutSecrets(record, schema, version); !shown.Equal(want) {
			t.Errorf("shown of version %d: %v, want %v", version, shown, want)
		}
	}
}

// Both the present schema and a former one may know secrets of one object.
func TestRetiredSecretsOfOneObject(t *testing.T) {
	part := func(name string) []cdc.Field {
		return []cdc.Field{{Name: "vault", Type: cdc.TypeObject, Fields: []cdc.Field{{Name: name, Type: cdc.TypeString, Secret: true}}}}
	}
	schema := cdc.Schema{Version: 2, Fields: part("pin"), Retired: part("token")}
	record := cdc.Record{"vault": map[string]any{"pin": "hush", "token": "hush", "hint": "none"}}
	want := cdc.Record{"vault": map[string]any{"hint": "none"}}
	if shown := route.WithoutSecrets(record, schema, 1); !shown.Equal(want) {
		t.Errorf("shown: %v, want %v", shown, want)
	}
}

// A route for everything yields to one that names the resource and has its target.
func TestEverythingYields(t *testing.T) {
	r := route.New([]route.Rule{{From: "*"}, {From: "users", Actions: cdc.Inserted}, {From: "orders", To: "archive"}}, route.Options{})
	targets := func(resource string, op cdc.Op) (out []string) {
		c := cdc.Change{Op: op, Resource: resource, RecordID: "1", Data: cdc.Record{"id": "1"}}
		for _, v := range verdicts(t, r, nil, &c) {
			out = append(out, v.Target)
		}
		return out
	}
	for _, tt := range []struct {
		resource string
		op       cdc.Op
		want     []string
	}{
		{"users", cdc.Inserted, []string{"users"}},
		{"users", cdc.Updated, nil},
		{"orders", cdc.Updated, []string{"orders", "archive"}},
		{"others", cdc.Updated, []string{"others"}},
	} {
		if got := targets(tt.resource, tt.op); !slices.Equal(got, tt.want) {
			t.Errorf("%s of %s goes to %v, want %v", tt.op, tt.resource, got, tt.want)
		}
		if wants := r.Wants(tt.resource, tt.op); wants != (tt.want != nil) {
			t.Errorf("wants %s of %s: %v", tt.op, tt.resource, wants)
		}
	}
}
