package cdc_test

import (
	"encoding/json"
	"math"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/s3db-go/replicator/cdc"
)

func TestParseDecimalKeepsTheScale(t *testing.T) {
	for in, want := range map[string]string{
		"0": "0", "-0": "0", "+0": "0", "00": "0", "0.00": "0.00", "-0.00": "0.00",
		"1.50": "1.50", "1.5": "1.5", "-1.5": "-1.5", "+1.5": "1.5", "007": "7", ".5": "0.5", "5.": "5",
		"1e3": "1000", "1E+3": "1000", "1.5e1": "15", "1.50e1": "15.0", "1.2345e2": "123.45", "0e5": "0",
		"15e-1": "1.5", "1e-3": "0.001", "-1.5e-2": "-0.015", "100e-2": "1.00", "0.01e2": "1", "0e-2": "0.00",
		"123456789012345678901234567890.123456789": "123456789012345678901234567890.123456789",
	} {
		d, err := cdc.ParseDecimal(in)
		if err != nil || d.String() != want {
			t.Errorf("%q gives %q (%v), want %q", in, d, err, want)
		}
	}
	if (cdc.Decimal{}).String() != "0" || decimal(t, "-00") != (cdc.Decimal{}) {
		t.Error("the zero value is not 0")
	}
}

func TestParseDecimalRefuses(t *testing.T) {
	for _, in := range []string{
		"", "-", "+", ".", "e1", "1e", "1e+", "1e1.5", "1e1e1", "--1", "+-1", "1.2.3", "1,5", " 1", "1 ", "0x10", "1_000",
		"NaN", "Inf", "-Infinity", "١", "1e131073", "1e-131073", "1e99999999999999999999",
	} {
		if d, err := cdc.ParseDecimal(in); err == nil {
			t.Errorf("%q gives %s", in, d)
		}
	}
	if _, err := cdc.ParseDecimal(strings.Repeat("x", 1<<20)); err == nil || len(err.Error()) > 200 {
		t.Errorf("a megabyte that is no number gives an error of %d bytes", len(err.Error()))
	}
}

func TestDecimalConverts(t *testing.T) {
	for _, c := range []struct {
		in    string
		int   int64
		fits  bool
		float float64
	}{
		{"0", 0, true, 0},
		{"12.00", 12, true, 12},
		{"-12", -12, true, -12},
		{"12.5", 0, false, 12.5},
		{"9223372036854775807", math.MaxInt64, true, 1 << 63},
		{"-9223372036854775808.0", math.MinInt64, true, -1 << 63},
		{"0.1", 0, false, 0.1},
		{"1e400", 0, false, math.Inf(1)},
		{"-1e400", 0, false, math.Inf(-1)},
	} {
		d := decimal(t, c.in)
		if n, ok := d.Int64(); ok != c.fits || ok && n != c.int {
			t.Errorf("%s as an integer: %d, %v", c.in, n, ok)
		}
		if f := d.Float64(); f != c.float {
			t.Errorf("%s as a float: %v", c.in, f)
		}
	}
	if _, ok := decimal(t, "9223372036854775808").Int64(); ok {
		t.Error("2^63 fits an int64")
	}
}

func TestDecimalAgreesWithMathBig(t *testing.T) {
	numbers := rapid.StringMatching(`[+-]?([0-9]{1,25}(\.[0-9]{0,10})?|\.[0-9]{1,10})([eE][+-]?[0-9]{1,2})?`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := numbers.Draw(t, "a"), numbers.Draw(t, "b")
		ra, _ := new(big.Rat).SetString(a)
		rb, _ := new(big.Rat).SetString(b)
		da, err := cdc.ParseDecimal(a)
		if err != nil {
			t.Fatal(err)
		}
		db, err := cdc.ParseDecimal(b)
		if err != nil {
			t.Fatal(err)
		}
		if da.Rat().Cmp(ra) != 0 {
			t.Fatalf("%s is %s", a, da)
		}
		if da.Cmp(db) != ra.Cmp(rb) {
			t.Fatalf("%s and %s compare as %d", a, b, da.Cmp(db))
		}
		if f, _ := ra.Float64(); da.Float64() != f {
			t.Fatalf("%s as a float is %v, want %v", a, da.Float64(), f)
		}
		n, ok := da.Int64()
		if want := ra.IsInt() && ra.Num().IsInt64(); ok != want || ok && n != ra.Num().Int64() {
			t.Fatalf("%s as an integer is %d, %v", a, n, ok)
		}
		// What is printed is read back as the same, in every form.
		if again, err := cdc.ParseDecimal(da.String()); err != nil || again != da {
			t.Fatalf("%s is read back as %s (%v)", da, again, err)
		}
		var text cdc.Decimal
		if b, err := da.MarshalText(); err != nil || text.UnmarshalText(b) != nil || text != da {
			t.Fatalf("%s as text is %s", da, text)
		}
		if b, err := json.Marshal(da); err != nil || !json.Valid(b) || string(b) != da.String() {
			t.Fatalf("%s as JSON is %s (%v)", da, b, err)
		}
	})
}

func FuzzParseDecimal(f *testing.F) {
	for _, s := range []string{"0", "-1.50", "1e3", ".5", "5.", "1e-131072", "+", "1e", "0.0e0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := cdc.ParseDecimal(s)
		if err != nil {
			return
		}
		if again, err := cdc.ParseDecimal(d.String()); err != nil || again != d {
			t.Errorf("%q gives %s, which is read back as %s (%v)", s, d, again, err)
		}
		if !json.Valid([]byte(d.String())) {
			t.Errorf("%q gives %s, which is no JSON number", s, d)
		}
	})
}
