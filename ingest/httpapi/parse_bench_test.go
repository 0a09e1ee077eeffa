package httpapi

import (
	"testing"

	"spillway/ingest"
)

// typicalBody is the contract's example, about 400 bytes.
const typicalBody = `{"currency":"USD",
 "lines":[{"campaign":"river-school","amount_minor":5000}],
 "fee_cover_minor":0,
 "donor":{"name":"Ada Example","email":"ada@example.org","anonymous":false,"hide_amount":false},
 "message":"Go team!",
 "dedication":{"kind":"in_honor","name":"Grace"},
 "payment":{"confirmation_token":"ctoken_1N3T00LkdIwHu7ixt44h1F8k","expires_at":"2026-11-22T20:00:00Z"}}`

func BenchmarkParse(b *testing.B) {
	p, d, body := newParser(), new(ingest.Donation), []byte(typicalBody)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if faults := p.parse(body, d); len(faults) > 0 {
			b.Fatal(faults)
		}
	}
}
