package webhook

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"mime"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/envelope"
)

// maxQuote is as much of an answer as an error shows, in characters: a sentence or
// two.
const maxQuote = 200

// commonWord is how long words are that stand in any text.
const commonWord = 3

// maxWord is the longest word that is shown. Words of languages are shorter; what
// is longer is likely encoded data.
const maxWord = 24

// messageFields are the fields of a JSON answer in which services put the reason
// (RFC 9457 and the customs of the field).
func messageField(name string) bool {
	switch strings.ToLower(name) {
	case "type", "title", "detail", "code", "error", "error_code", "error_description",
		"errors", "message", "description", "reason", "field", "fields", "param", "path":
		return true
	}
	return false
}

// quote gives the reason in an answer as `: "…"`, or "" if there is none that can be
// shown. Services like to echo what they were sent, so every word that occurs in
// what must stay hidden is left out, as are words that look like encoded data.
func quote(contentType string, answer []byte, hidden hidden) string {
	var text string
	switch kind, _, _ := mime.ParseMediaType(contentType); {
	case kind == "application/json" || strings.HasSuffix(kind, "+json"):
		// Decoded, because escapes would hide a row from the search for it.
		var v any
		if json.Unmarshal(answer, &v) != nil {
			return ""
		}
		text = strings.Join(messages(v, false), "; ")
	case kind == "text/plain":
		text = string(answer)
	}
	text = hidden.mask(strings.Join(strings.Fields(text), " "))
	if text == "" || !utf8.ValidString(text) {
		return ""
	}
	if runes := []rune(text); len(runes) > maxQuote {
		text = string(runes[:maxQuote]) + "…"
	}
	return fmt.Sprintf(": %q", text)
}

// messages collects the texts below message fields; wanted says that v is below
// one.
func messages(v any, wanted bool) []string {
	var out []string
	switch v := v.(type) {
	case string:
		if wanted {
			out = append(out, v)
		}
	case []any:
		for _, e := range v {
			out = append(out, messages(e, wanted)...)
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if messageField(name) {
				out = append(out, messages(v[name], true)...)
			}
		}
	}
	return out
}

// hidden is what an error must not show: the values of a row, and credentials.
type hidden struct {
	words map[string]bool // all words, lower case
	text  string          // everything, lower case, to find parts of words in
	shown map[string]bool // words of what stands in errors anyway: the records' ids
}

// hidden gathers what must stay hidden of deliveries and of the options.
func (d *Driver) hidden(deliveries []cdc.Delivery) hidden {
	shown := map[string]bool{}
	texts := d.credentials()
	credentials := strings.Join(texts, "\x00")
	for _, delivery := range deliveries {
		for word := range wordsOf(delivery.RecordID) {
			shown[word] = true
		}
		for _, r := range []cdc.Record{delivery.Key, delivery.OldKey, delivery.Record, delivery.Before} {
			texts = append(texts, slices.DeleteFunc(contents(r), common)...)
		}
	}
	for word := range wordsOf(credentials) {
		delete(shown, word)
	}
	// And with the escapes of JSON, which an echo of the body has.
	for _, text := range texts {
		if escaped, err := json.Marshal(text); err == nil {
			texts = append(texts, string(escaped))
		}
	}
	h := hidden{words: map[string]bool{}, text: strings.ToLower(strings.Join(texts, "\x00")), shown: shown}
	for word := range wordsOf(h.text) {
		h.words[word] = true
	}
	return h
}

// common reports whether a text is one that stands in any other: a record that holds "a"
// or "no" must not make an answer unreadable. A number is told by any length of it.
func common(text string) bool {
	return len(text) <= commonWord && !strings.ContainsFunc(text, unicode.IsDigit)
}

// wordsOf gives the words of a text in lower case.
func wordsOf(text string) iter.Seq[string] {
	return strings.FieldsFuncSeq(strings.ToLower(text), notInWord)
}

// contents gives the texts of a record as a body shows them: dates, bytes and numbers are
// texts there. The names of its fields may be shown.
func contents(r cdc.Record) (texts []string) {
	body, err := envelope.Bare.Append(nil, cdc.Delivery{Change: cdc.Change{Op: cdc.Inserted}, Record: r}, "")
	if err != nil {
		return nil // it could not be sent either
	}
	var shown map[string]any
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if decoder.Decode(&shown) == nil {
		for _, v := range shown {
			texts = append(texts, leaves(v)...)
		}
	}
	return texts
}

// leaves gives all texts in a value. Names of nested fields count: maps by e-mail
// address exist.
func leaves(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case json.Number:
		return []string{v.String()}
	case []any:
		var out []string
		for _, e := range v {
			out = append(out, leaves(e)...)
		}
		return out
	case map[string]any:
		var out []string
		for name, e := range v {
			out = append(append(out, name), leaves(e)...)
		}
		return out
	}
	return nil
}

// mask replaces every word that must not be shown by "…".
func (h hidden) mask(text string) string {
	var out strings.Builder
	for text != "" {
		start := strings.IndexFunc(text, inWord)
		if start < 0 {
			break
		}
		out.WriteString(text[:start])
		text = text[start:]
		end := strings.IndexFunc(text, notInWord)
		if end < 0 {
			end = len(text)
		}
		if word := text[:end]; h.shows(strings.ToLower(word)) {
			out.WriteString("…")
		} else {
			out.WriteString(word)
		}
		text = text[end:]
	}
	out.WriteString(text)
	return out.String()
}

// shows reports whether a word would show something hidden. A part of a value is
// as telling as the whole, unless it is so short that it stands in any text.
func (h hidden) shows(word string) bool {
	switch {
	case len(word) > maxWord:
		return true
	case h.shown[word]:
		return false
	}
	return h.words[word] || len(word) > commonWord && strings.Contains(h.text, word)
}

func inWord(r rune) bool    { return unicode.IsLetter(r) || unicode.IsDigit(r) }
func notInWord(r rune) bool { return !inWord(r) }

// credentials are all texts of the options that give access. The URL's are there as
// they are written, and as a server reads them.
func (d *Driver) credentials() []string {
	out := []string{d.auth.value, d.auth.secret, d.opts.URL, d.endpoint.Path}
	for name, values := range d.endpoint.Query() {
		out = append(append(out, name), values...)
	}
	for _, v := range d.opts.Headers {
		out = append(out, v)
	}
	return append(out, d.opts.SigningSecrets...)
}
