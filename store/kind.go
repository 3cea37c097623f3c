package store

import (
	"strconv"
	"strings"

	"github.com/s3db-go/replicator/cdc"
)

// kind is how an attribute's values are typed, stored and compared.
type kind uint8

const (
	kindString kind = iota
	kindEmail
	kindURL
	kindAny      // text; numbers and booleans become it
	kindForm     // text with one spelling, and a shorter one in storage
	kindPassword // text, of which only a hash is kept
	kindSecret
	kindNumber
	kindInteger
	kindMoney // a fixed number of decimals
	kindDecimal
	kindLatitude
	kindLongitude
	kindPoint
	kindBoolean
	kindDatetime
	kindDateonly
	kindDate // has no values in the format
	kindBytes
	kindJSON
	kindObject    // a map, as JSON text
	kindNested    // a map with attributes of its own, each stored by itself
	kindOpaque    // declared in a form whose parts the original stores beside the record
	kindStrings   // arrays by what is in them
	kindNumbers   //
	kindIntegers  //
	kindEmbedding // numbers with six decimals
	kindList      // anything, as JSON text
)

// typeKinds are the types of the definition language whose kind follows from the
// name alone. The forms of text are in [forms].
var typeKinds = map[string]kind{
	"string": kindString, "email": kindEmail, "url": kindURL, "any": kindAny, "secret": kindSecret, "password": kindPassword,
	"money": kindMoney, "crypto": kindMoney, "decimal": kindDecimal,
	"geo:lat": kindLatitude, "geo:lon": kindLongitude, "geo:point": kindPoint,
	"boolean": kindBoolean, "datetime": kindDatetime, "dateonly": kindDateonly, "date": kindDate,
	"buffer": kindBytes, "bits": kindBytes, "json": kindJSON, "object": kindObject, "embedding": kindEmbedding,
}

// typeNames is what an error tells of the types that there are.
const typeNames = "string, number, boolean, datetime, dateonly, timeonly, json, object, array, secret, password, email, url, " +
	"money, crypto, decimal, geo:lat, geo:lon, geo:point, uuid, ip4, ip6, mac, cidr, semver, phone, color, duration, ean, " +
	"cron, locale, currency, country, buffer, bits, embedding, any"

// isType reports whether the definition language has a type of that name.
func isType(name string) bool {
	_, known := typeKinds[name]
	return known || name == "number" || name == "array" || formNamed(name) != nil
}

// resolve sets the kind of a type's name, its argument, and what an array holds.
func (a *attribute) resolve(typ, arg string, mods modifiers) string {
	known := false
	a.kind, known = typeKinds[typ]
	switch {
	case known:
	case typ == "number":
		a.kind = kindNumber
		if mods.flag("integer") {
			a.kind = kindInteger
		}
	case typ == "array":
		return a.resolveItems(mods)
	case formNamed(typ) != nil:
		a.kind, a.form = kindForm, formNamed(typ)
	default:
		return unknownType(typ)
	}
	return a.argument(typ, arg, mods)
}

func unknownType(typ string) string {
	instead := "the types are " + typeNames
	switch typ {
	case "int", "integer":
		instead = "want number|integer"
	case "bool":
		instead = "want boolean"
	}
	return "type " + strconv.Quote(typ) + " is not known; " + instead
}

func (a *attribute) resolveItems(mods modifiers) string {
	switch items := mods["items"]; items {
	case "string":
		a.kind = kindStrings
	case "number":
		a.kind = kindNumbers
		length, _ := strconv.Atoi(mods["length"])
		switch {
		case mods.flag("integer"):
			a.kind = kindIntegers
		case length >= embeddingLength:
			a.kind = kindEmbedding
		}
	default:
		if items != "" && !isType(items) {
			return unknownType(items)
		}
		a.kind = kindList
	}
	return ""
}

// embeddingLength is the fixed length from which the original stores an array of
// numbers as an embedding.
const embeddingLength = 256

// argument reads what follows a type's name after a colon: "money:4".
func (a *attribute) argument(typ, arg string, mods modifiers) string {
	switch typ {
	case "money", "decimal":
		a.digits = 2
	case "crypto":
		a.digits = 8
	case "geo:lat", "geo:lon", "geo:point":
		a.digits = 6
	}
	if arg == "" {
		return ""
	}
	if typ == "password" && (arg == "bcrypt" || arg == "argon2id") {
		a.argon2 = arg == "argon2id"
		return ""
	}
	n, err := strconv.Atoi(arg)
	if err != nil || n < 0 {
		return "type " + strconv.Quote(typ) + " takes no argument " + strconv.Quote(arg)
	}
	switch a.kind {
	case kindEmbedding:
		mods["length"] = arg
	case kindMoney, kindDecimal:
		a.digits = n
		if n > maxDigits {
			return "holds at most " + strconv.Itoa(maxDigits) + " decimals"
		}
	case kindLatitude, kindLongitude, kindPoint:
		a.digits = n
		if n > maxGeoDigits {
			return "holds at most " + strconv.Itoa(maxGeoDigits) + " decimals"
		}
	case kindBytes:
		a.bits = n
		if typ == "bits" && n > 0 {
			break
		}
		fallthrough
	default:
		return "type " + strconv.Quote(typ) + " takes no argument " + strconv.Quote(arg)
	}
	return ""
}

// originalType gives the type that the original takes a definition for. It looks
// for these words anywhere, so that a default of "number1" makes a number; "" if
// it finds none and goes by what the definition begins with.
func originalType(text string) string {
	for _, word := range []string{"embedding", "array", "secret", "password", "ip4", "ip6", "buffer", "bits", "money", "crypto",
		"decimal", "geo:lat", "geo:lon", "geo:point", "number", "boolean", "bool", "json", "object", "datetime", "dateonly"} {
		if strings.Contains(text, word) {
			return word
		}
	}
	return ""
}

// hasLength reports whether min and max count characters or items.
func (a *attribute) hasLength() bool {
	switch a.kind {
	case kindString, kindEmail, kindURL, kindAny, kindPassword, kindSecret, kindStrings, kindNumbers, kindIntegers, kindEmbedding, kindList:
		return true
	}
	return false
}

// isNumber reports whether min and max bound the value.
func (a *attribute) isNumber() bool { return a.kind >= kindNumber && a.kind <= kindLongitude }

// isScalar reports whether a value has a text of its own, as a partition's values
// must.
func (a *attribute) isScalar() bool {
	return a.kind <= kindForm || a.isNumber() || a.kind == kindBoolean || a.kind == kindDatetime || a.kind == kindDateonly || a.kind == kindDate
}

// describe gives the contract's type, and its parts.
func (a *attribute) describe() (cdc.Type, []cdc.Field) {
	switch a.kind {
	case kindString, kindEmail, kindURL, kindAny, kindForm, kindPassword, kindSecret:
		return cdc.TypeString, nil
	case kindNumber, kindLatitude, kindLongitude:
		return cdc.TypeFloat, nil
	case kindInteger:
		return cdc.TypeInt, nil
	case kindMoney, kindDecimal:
		return cdc.TypeDecimal, nil
	case kindPoint:
		return cdc.TypeObject, []cdc.Field{{Name: latitude, Type: cdc.TypeFloat}, {Name: longitude, Type: cdc.TypeFloat}}
	case kindBoolean:
		return cdc.TypeBool, nil
	case kindDatetime:
		return cdc.TypeTime, nil
	case kindDateonly:
		return cdc.TypeDate, nil
	case kindBytes:
		return cdc.TypeBytes, nil
	case kindObject:
		return cdc.TypeObject, nil
	case kindNested:
		return cdc.TypeObject, describe(a.fields)
	case kindStrings:
		return cdc.TypeArray, []cdc.Field{{Type: cdc.TypeString}}
	case kindNumbers, kindEmbedding:
		return cdc.TypeArray, []cdc.Field{{Type: cdc.TypeFloat}}
	case kindIntegers:
		return cdc.TypeArray, []cdc.Field{{Type: cdc.TypeInt}}
	case kindList:
		return cdc.TypeArray, nil
	}
	return cdc.TypeAny, nil
}
