package s3db

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/store"
)

// judgeOpen tells what may pass from what will not: a file system or a server may come
// back, but neither a malformed connection string, a refused credential, a missing
// bucket nor a catalogue that can't be read heals.
func judgeOpen(ctx context.Context, err error) error {
	_, path := errors.AsType[*fs.PathError](err)
	_, link := errors.AsType[*os.LinkError](err)
	switch {
	case ctx.Err() != nil:
		return err
	case path || link || errors.Is(err, store.ErrUnavailable):
		return cdc.Unavailable(err)
	}
	return cdc.Permanent(err)
}

// judge says whose fault an error of the store is. Only what the record holds blames
// the record: whatever else goes wrong is the medium's, which no record can help.
func judge(ctx context.Context, err error) error {
	_, invalid := errors.AsType[*store.ValidationError](err)
	if invalid || errors.Is(err, cdc.ErrTooLarge) || errors.Is(err, store.ErrRefused) {
		return cdc.Permanent(err)
	}
	if ctx.Err() != nil {
		return err
	}
	return cdc.Unavailable(err)
}

// withoutIDs gives err without the ids that were made from a key: the store names
// records by them, and key columns are content of the row. The record's own id may
// stay.
func withoutIDs(err error, recordID string, ids ...string) error {
	text := err.Error()
	for _, id := range ids {
		if id != recordID && id != "" {
			text = withoutWord(text, id)
		}
	}
	if text == err.Error() {
		return err
	}
	return &discreetError{text, err}
}

// withoutWord replaces the word where it stands by itself, in any case of its letters:
// a short id is also a part of other words, which say what went wrong.
func withoutWord(text, word string) string {
	var out strings.Builder
	end := 0
	for _, at := range regexp.MustCompile("(?i)"+regexp.QuoteMeta(word)).FindAllStringIndex(text, -1) {
		before, _ := utf8.DecodeLastRuneInString(text[:at[0]])
		after, _ := utf8.DecodeRuneInString(text[at[1]:])
		if !inWord(before) && !inWord(after) {
			out.WriteString(text[end:at[0]] + "…")
			end = at[1]
		}
	}
	return out.String() + text[end:]
}

func inWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// discreetError is an error with another text.
type discreetError struct {
	text string
	err  error
}

func (e *discreetError) Error() string { return e.text }
func (e *discreetError) Unwrap() error { return e.err }
