package envelope

import (
	"google.golang.org/protobuf/encoding/protowire"

	"spillway/ingest"
)

// What a request never lacks; an attempt has a token besides.
var (
	requiredOfRequest = fieldSet(0).with(requestID, requestDonation, requestReceivedAt)
	requiredOfAttempt = requiredOfRequest.with(requestToken, requestTokenExpiresAt)
)

// decodeRequest reads the message of a request whose Kind is set.
func decodeRequest(r *Request, b []byte) error {
	var seen fieldSet
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return malformed("%s: tag", r.Kind)
		}
		b = b[n:]
		m := protowire.ConsumeFieldValue(num, typ, b)
		if m < 0 {
			return malformed("%s: field %d", r.Kind, num)
		}
		var err error
		switch {
		case num == requestID:
			err = seen.fixedBytes(r.ID[:], num, typ, b)
		case num == requestDonation:
			err = seen.fixedBytes(r.Donation[:], num, typ, b)
		case num == requestReceivedAt:
			r.ReceivedAt, err = seen.micros(num, typ, b)
		case num == requestSource:
			r.Source, err = seen.fixed64(num, typ, b)
		case num == requestRehearsal:
			r.Rehearsal, err = seen.bool(num, typ, b)
		case num == requestToken && r.Kind == Attempt:
			r.ConfirmationToken, err = seen.text(num, typ, b, ingest.TokenBytesMax)
		case num == requestTokenExpiresAt && r.Kind == Attempt:
			r.TokenExpiresAt, err = seen.micros(num, typ, b)
		case num == requestTrace:
			readTrace(&r.Trace, typ, b)
		}
		if err != nil {
			return err
		}
		b = b[m:]
	}
	required := requiredOfRequest
	if r.Kind == Attempt {
		required = requiredOfAttempt
	}
	if seen&required != required || r.Kind == Attempt && r.ConfirmationToken == "" {
		return malformed("%s: a required field is missing", r.Kind)
	}
	return nil
}
