package trace

import "time"

// Kind says on which side of a conversation a span is. The numbers are OTLP's.
type Kind uint8

// The kinds.
const (
	Internal Kind = 1
	Server   Kind = 2
	Client   Kind = 3
	Producer Kind = 4
	Consumer Kind = 5
)

// LinksMax bounds the links of one span. A batch may hold thousands of donations; a
// page of the tracing system that shows so many helps nobody.
const LinksMax = 64

// Span is something that took time and is over. Whoever records it keeps nothing of
// it and changes nothing in it afterwards.
type Span struct {
	// Context says which span it is, Parent which one it is below; zero for a root.
	Context    Context
	Parent     SpanID
	Name       string // of a closed set
	Kind       Kind
	Start, End time.Time
	// Links are places in this trace or others that it belongs to; LinksDropped counts
	// those that LinksMax left out.
	Links        []Context
	LinksDropped int
	Attributes   []Attribute
	// Failed says that it did not do what it is for.
	Failed bool
	// Service is the role that it was in; the Tracer sets it.
	Service string
}

// Key is what an attribute is about. There are no others: what a span may say is
// this list, and nothing in it is about a person.
type Key uint8

// The keys. The first ones have the names that all services share
// (opentelemetry.io/docs/specs/semconv).
const (
	HTTPMethod Key = iota
	HTTPRoute      // the pattern, never the path as it was sent
	HTTPStatus
	ErrorType     // a word of a closed set, such as a problem's code
	DonationID    // proves nothing, and names nobody
	Book          // live or rehearsal
	Lines         // campaigns in the donation
	Stream        // the broker's
	BatchMessages // of a ledger's transaction
	BatchRecords  //
	AttemptNo
	Call    // charge or look
	Outcome // of a call, as its metric has it
	EventType
	keys
)

var keyNames = [keys]string{
	HTTPMethod: "http.request.method", HTTPRoute: "http.route", HTTPStatus: "http.response.status_code", ErrorType: "error.type",
	DonationID: "spillway.donation.id", Book: "spillway.book", Lines: "spillway.donation.lines", Stream: "messaging.destination.name",
	BatchMessages: "messaging.batch.message_count", BatchRecords: "spillway.batch.records",
	AttemptNo: "spillway.attempt", Call: "spillway.call", Outcome: "spillway.outcome", EventType: "spillway.event.type",
}

// String returns the name under which the attribute is sent.
func (k Key) String() string {
	if k < keys {
		return keyNames[k]
	}
	return "unknown"
}

// Keys returns all of them.
func Keys() []Key {
	all := make([]Key, keys)
	for i := range all {
		all[i] = Key(i)
	}
	return all
}

// Attribute is one thing that a span says: a word, or a number where Text is "".
type Attribute struct {
	Key    Key
	Text   string
	Number int64
}

// Text and Number make attributes.
func Text(k Key, v string) Attribute { return Attribute{Key: k, Text: v} }

// Number makes an attribute of a number.
func Number(k Key, v int64) Attribute { return Attribute{Key: k, Number: v} }
