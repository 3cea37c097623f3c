package sqs

import (
	"fmt"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/envelope"
)

// Decode reads, on the consumer's side, the body of a message that was sent as
// [Envelope] or [CloudEvents]. It gives the change: ChangeID, by which repeats are known;
// Op; Target, which is also put into Resource; RecordID; Version, which grows with every
// change of the record; Time; the Record, nil for a delete; and Before, for a delete the
// last state.
//
// Values are as JSON has them: whole numbers that fit are int64, all others
// [cdc.Decimal]; times and bytes are texts. An error does not quote the body.
func Decode(body string) (cdc.Delivery, error) {
	d, err := envelope.Decode([]byte(body))
	if err != nil {
		return cdc.Delivery{}, fmt.Errorf("sqs: %w", err)
	}
	return d, nil
}
