package envelope

import "errors"

var (
	// ErrMalformed says that bytes are not an envelope, or a record is not what
	// its kind says. They never become one: set them aside.
	ErrMalformed = errors.New("malformed envelope")
	// ErrVersion says that a newer build wrote the envelope in a version that
	// this one does not know.
	ErrVersion = errors.New("envelope of a newer version")
	// ErrUnknownKind says that a record is of a kind that this build does not
	// know; the other records of its envelope are not touched by that.
	ErrUnknownKind = errors.New("record of an unknown kind")
)
