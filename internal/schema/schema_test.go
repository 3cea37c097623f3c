package schema_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/s3db-go/replicator/internal/schema"
)

func columns(names ...string) (out []schema.Column) {
	for _, name := range names {
		typ := "text"
		if n, t, ok := strings.Cut(name, " "); ok {
			name, typ = n, t
		}
		out = append(out, schema.Column{Name: name, Type: typ})
	}
	return out
}

func TestCompute(t *testing.T) {
	wanted := schema.Shape{Columns: columns("id", "name", "age int"), Key: []string{"id"}}
	create := schema.Step{Action: schema.Create, Columns: wanted.Columns, Key: wanted.Key}
	add := schema.Step{Action: schema.Add, Columns: columns("age int")}
	keyed := func(filled bool, names ...string) *schema.Table {
		return &schema.Table{Columns: columns(names...), Unique: [][]string{{"id"}}, Filled: filled}
	}
	for name, test := range map[string]struct {
		there *schema.Table
		rules schema.Rules
		want  schema.Plan
	}{
		"alter, none":     {nil, schema.Rules{}, schema.Plan{Steps: []schema.Step{create}}},
		"alter, fits":     {keyed(true, "more", "age int", "name", "id"), schema.Rules{}, schema.Plan{}},
		"alter, lacks":    {keyed(true, "id", "name"), schema.Rules{}, schema.Plan{Steps: []schema.Step{add}}},
		"alter, differs":  {keyed(true, "id", "name int"), schema.Rules{}, schema.Plan{Steps: []schema.Step{add}, Mismatches: []schema.Mismatch{{"name", "is int, which takes no text"}}}},
		"alter, takes it": {keyed(true, "id", "name int", "age int"), schema.Rules{Fits: func(a, b schema.Column) bool { return true }}, schema.Plan{}},
		"alter, no constraint": {&schema.Table{Columns: columns("id", "name", "age int"), Unique: [][]string{{"id", "name"}}}, schema.Rules{},
			schema.Plan{Mismatches: []schema.Mismatch{{"", `has no unique constraint on "id", by which a row would be found`}}}},
		"drop-create, lacks":        {keyed(true, "id", "name"), schema.Rules{Strategy: schema.DropCreate, DropRows: true}, schema.Plan{Steps: []schema.Step{add}}},
		"drop-create, empty":        {keyed(false, "id", "name int"), schema.Rules{Strategy: schema.DropCreate}, schema.Plan{Steps: []schema.Step{{Action: schema.Drop}, create}}},
		"drop-create, asked twice":  {keyed(true, "id", "name int"), schema.Rules{Strategy: schema.DropCreate, DropRows: true}, schema.Plan{Steps: []schema.Step{{Action: schema.Drop}, create}}},
		"validate-only, none":       {nil, schema.Rules{Strategy: schema.ValidateOnly}, schema.Plan{Mismatches: []schema.Mismatch{{"", "does not exist"}}, Missing: []schema.Step{create}}},
		"validate-only, lacks":      {keyed(true, "id", "name"), schema.Rules{Strategy: schema.ValidateOnly}, schema.Plan{Mismatches: []schema.Mismatch{{"age", "does not exist"}}, Missing: []schema.Step{add}}},
		"validate-only, fits":       {keyed(true, "id", "name", "age int"), schema.Rules{Strategy: schema.ValidateOnly}, schema.Plan{}},
		"a computed column is left": {&schema.Table{Columns: append(columns("id", "age int"), schema.Column{Name: "name", Type: "xml", Computed: true}), Unique: [][]string{{"id"}}}, schema.Rules{}, schema.Plan{}},
		"a column that must be given": {&schema.Table{Columns: append(columns("id", "name", "age int"), schema.Column{Name: "shoe", Type: "int", Required: true}), Unique: [][]string{{"id"}}}, schema.Rules{},
			schema.Plan{Mismatches: []schema.Mismatch{{"shoe", "takes no null and has no default, and no record has it"}}}},
	} {
		if diff := cmp.Diff(test.want, schema.Compute(test.there, wanted, test.rules)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestNoPlanLosesData: nothing that is there goes, unless the table is empty or it was
// asked for twice; and carried out, a plan leaves nothing to do.
func TestNoPlanLosesData(t *testing.T) {
	draw := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) schema.Column {
		return schema.Column{
			Name: rapid.SampledFrom([]string{"id", "a", "b", "c"}).Draw(t, "name"), Type: rapid.SampledFrom([]string{"text", "int"}).Draw(t, "type"),
			Required: rapid.Bool().Draw(t, "required"), Computed: rapid.Bool().Draw(t, "computed"),
		}
	}), 0, 4, func(c schema.Column) string { return c.Name })
	rapid.Check(t, func(t *rapid.T) {
		there := &schema.Table{Columns: draw.Draw(t, "there"), Filled: rapid.Bool().Draw(t, "filled")}
		if rapid.Bool().Draw(t, "keyed") {
			there.Unique = [][]string{{"id"}}
		}
		wanted := schema.Shape{Columns: draw.Draw(t, "wanted"), Key: []string{"id"}, Open: rapid.Bool().Draw(t, "open")}
		rules := schema.Rules{Strategy: schema.Strategy(rapid.IntRange(0, 2).Draw(t, "strategy")), DropRows: rapid.Bool().Draw(t, "drop rows")}
		plan := schema.Compute(there, wanted, rules)
		after := there
		for _, step := range plan.Steps {
			switch step.Action {
			case schema.Drop:
				if rules.Strategy != schema.DropCreate || there.Filled && !rules.DropRows {
					t.Fatalf("%+v drops", rules)
				}
				after = nil
			case schema.Create:
				after = &schema.Table{Columns: step.Columns, Unique: [][]string{step.Key}}
			case schema.Add:
				after = &schema.Table{Columns: slices.Concat(there.Columns, step.Columns), Unique: there.Unique, Filled: there.Filled}
			}
		}
		if rules.Strategy == schema.ValidateOnly && len(plan.Steps) > 0 {
			t.Fatal("validate-only does something")
		}
		if slices.ContainsFunc(wanted.Columns, func(c schema.Column) bool { return c.Computed }) {
			return // no table can be made that way
		}
		if again := schema.Compute(after, wanted, rules); len(again.Steps) > 0 {
			t.Fatalf("after %+v there is still %+v to do", plan.Steps, again.Steps)
		}
		if (plan.Err() == nil) != (len(plan.Mismatches) == 0) {
			t.Fatal("Err does not say what Mismatches say")
		}
	})
}

func TestSnake(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "id": "id", "createdAt": "created_at", "HTTPStatus2xx": "http_status2xx", "userID": "user_id", "already_snake": "already_snake", "A": "a",
		"Über_Größe": "über_größe", "größeÄndern": "größe_ändern", "a_B": "a_b", "ABC": "abc",
	} {
		if got := schema.Snake(in); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
		if again := schema.Snake(want); again != want {
			t.Errorf("%q becomes %q", want, again)
		}
	}
}
