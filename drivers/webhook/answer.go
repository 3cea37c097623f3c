package webhook

import (
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/s3db-go/replicator/cdc"
)

// Meaning is what a status says about the deliveries of a request.
type Meaning uint8

// The meanings of a status.
const (
	// Retry: try again; counts against the record if others get through.
	Retry Meaning = iota
	// Delivered: they are there.
	Delivered
	// Refused: the record will never be accepted as it is.
	Refused
	// Unavailable: the endpoint takes nothing now.
	Unavailable
	// Gone: the endpoint wants no more; the destination is paused until someone
	// resumes it.
	Gone
)

func (d *Driver) meaningOf(status int) Meaning {
	if own, ok := d.opts.Statuses[status]; ok {
		return own
	}
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge,
		http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return Refused
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed,
		http.StatusTooManyRequests,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return Unavailable
	case http.StatusGone:
		return Gone
	}
	switch status / 100 {
	case 2:
		return Delivered
	case 3:
		// Not followed. As with 404 the address is wrong, not the record.
		return Unavailable
	}
	return Retry
}

// advice says where to look after a status that the options are likely the cause of.
func advice(status int) string {
	if status == http.StatusUnauthorized || status == http.StatusForbidden {
		return "; are Auth and SigningSecrets those that the endpoint expects?"
	}
	return ""
}

// mark puts the meaning into the error, and the pause that the endpoint asked for where
// it is tried again.
func (m Meaning) mark(err error, after time.Duration) error {
	if after > 0 {
		err = cdc.RetryAfter(err, after)
	}
	switch m {
	case Refused:
		return cdc.Permanent(err)
	case Unavailable:
		return cdc.Unavailable(err)
	case Gone:
		return cdc.Gone(err)
	}
	return err
}

// retryAfter reads a pause in seconds or until a date; 0 if there is none.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil {
		// Cut, because a duration holds 292 years only.
		return time.Duration(min(max(seconds, 0), math.MaxInt32)) * time.Second
	}
	if date, err := http.ParseTime(header); err == nil {
		return max(date.Sub(now), 0)
	}
	return 0
}
