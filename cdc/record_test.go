package cdc_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/s3db-go/replicator/cdc"
)

func TestGettersConvert(t *testing.T) {
	at := time.Date(2026, 8, 1, 12, 0, 0, 5000, time.UTC)
	type want struct {
		text  string
		truth bool
		int   int64
		float float64
		time  time.Time
	}
	for name, c := range map[string]struct {
		value any
		want  want
	}{
		"nil":               {nil, want{}},
		"string":            {"x", want{text: "x"}},
		"integer text":      {"-12", want{text: "-12", int: -12, float: -12}},
		"fraction text":     {"1.5", want{text: "1.5", float: 1.5}},
		"infinite text":     {"Inf", want{text: "Inf"}},
		"too large text":    {"1e400", want{text: "1e400"}},
		"time text":         {"2026-08-01T14:00:00.000005+02:00", want{text: "2026-08-01T14:00:00.000005+02:00", time: at}},
		"bool":              {true, want{truth: true}},
		"integer":           {int64(7), want{int: 7, float: 7}},
		"largest integer":   {int64(math.MaxInt64), want{int: math.MaxInt64, float: 1 << 63}},
		"Go's own int":      {7, want{int: 7, float: 7}},
		"whole float":       {-3.0, want{int: -3, float: -3}},
		"fractional float":  {2.5, want{float: 2.5}},
		"2^63":              {float64(1 << 63), want{float: 1 << 63}},
		"-2^63":             {-float64(1 << 63), want{int: math.MinInt64, float: -1 << 63}},
		"whole decimal":     {decimal(t, "12.00"), want{int: 12, float: 12}},
		"decimal":           {decimal(t, "12.25"), want{float: 12.25}},
		"too large decimal": {decimal(t, "9223372036854775808"), want{float: 1 << 63}},
		"bytes":             {[]byte("1"), want{}},
		"time":              {at, want{time: at}},
		"array":             {[]any{int64(1)}, want{}},
	} {
		r := cdc.Record{"f": c.value}
		got := want{r.String("f"), r.Bool("f"), r.Int("f"), r.Float("f"), r.Time("f")}
		if got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

func TestGettersNeverPanic(t *testing.T) {
	get := func(r cdc.Record, field string) {
		r.Has(field)
		_, _, _, _, _ = r.String(field), r.Bool(field), r.Int(field), r.Float(field), r.Time(field)
		r.Pick(field, "absent")
		r.Clone()
	}
	get(nil, "f")
	rapid.Check(t, func(t *rapid.T) {
		get(cdc.Record{"f": values(2).Draw(t, "value")}, rapid.SampledFrom([]string{"f", "absent"}).Draw(t, "field"))
	})
}

func TestHasPickClone(t *testing.T) {
	r := cdc.Record{"a": nil, "b": "", "c": []any{"shared"}}
	if !r.Has("a") || !r.Has("b") || r.Has("absent") || cdc.Record(nil).Has("a") {
		t.Error("Has does not tell nil and empty from absent")
	}
	if diff := cmp.Diff(cdc.Record{"a": nil, "b": ""}, r.Pick("a", "b", "absent"), identical); diff != "" {
		t.Error(diff)
	}
	if p := cdc.Record(nil).Pick("a"); p == nil || len(p) != 0 {
		t.Errorf("Pick of nothing gives %#v", p)
	}
	c := r.Clone()
	c["a"] = "changed"
	if r["a"] != nil {
		t.Error("a clone shares its top level")
	}
	if cdc.Record(nil).Clone() != nil {
		t.Error("a clone of nil is not nil")
	}
}
