package httpapi

import (
	"net/netip"
	"time"

	"spillway/campaigns"
	"spillway/ingest"
	"spillway/ingest/envelope"
	"spillway/ingest/keyring"
	"spillway/ledger"
)

// scratch is the memory that one donation needs while its handler runs, reused
// so that a donation costs hardly an allocation. Nothing in it outlives the
// handler: its texts share the request's memory.
type scratch struct {
	parser   *parser
	donation ingest.Donation
	record   envelope.Donation

	received  time.Time // UTC, whole microseconds: what everything is judged by
	client    netip.Addr
	source    uint64
	rehearsal bool // the rehearsal credential was presented

	tracing tracing

	id          ingest.ID
	fingerprint ingest.Fingerprint
	book        ledger.Book

	campaigns []*campaigns.Campaign // of each line; nil where unknown
	unknown   []ingest.FieldError   // lines whose campaign is unknown
	refused   []ingest.FieldError   // values outside what is allowed
	closed    []ingest.FieldError   // lines whose campaign is not open

	sealed []byte
	token  []byte
	url    []byte
	out    []byte
}

// Capacities that typical donations do not outgrow.
const (
	scratchLines  = 8
	scratchSealed = 512
	scratchOut    = 512
)

func newScratch() *scratch {
	return &scratch{
		parser:    newParser(),
		donation:  ingest.Donation{Lines: make([]ingest.Line, 0, scratchLines)},
		campaigns: make([]*campaigns.Campaign, 0, scratchLines),
		sealed:    make([]byte, 0, scratchSealed),
		token:     make([]byte, 0, keyring.TokenChars),
		url:       make([]byte, 0, len(donationPrefix)+36),
		out:       make([]byte, 0, scratchOut),
	}
}

// statusURL is where the donation's state is.
func (w *scratch) statusURL() []byte {
	w.url = w.id.AppendText(append(w.url[:0], donationPrefix...))
	return w.url
}
