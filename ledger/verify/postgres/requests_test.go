package postgres

import (
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"spillway/ingest"
	"spillway/ledger"
)

func TestRequests_VisitsThoseThatAreStored(t *testing.T) {
	url := copyOf(t, installation(t))
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.Exec(t.Context(), `INSERT INTO spillway.requests (request, donation_id, kind, token, received_at) VALUES
		('d0000000-0000-8000-8000-000000000001', $1, 'attempt', 'ctoken_card_visa', now()),
		('d0000000-0000-8000-8000-000000000002', $1, 'cancellation', '', now()),
		('d0000000-0000-8000-8000-000000000003', $1, 'cancellation', '', now())`, first); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	id := func(n byte) ingest.RequestID { return ingest.RequestID{0: 0xd0, 6: 0x80, 8: 0x80, 15: n} }
	for book, want := range map[ledger.Book][]string{
		ledger.Live:      {"1 " + first + " attempt", "3 " + first + " cancellation"},
		ledger.Rehearsal: nil,
	} {
		var got []string
		if err := s.Requests(t.Context(), book, []ingest.RequestID{id(1), id(3), id(4)}, func(r ingest.RequestID, d ingest.ID, kind string) {
			got = append(got, fmt.Sprint(r[15], " ", d, " ", kind))
		}); err != nil {
			t.Fatal(err)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s book: %q, want %q", book, got, want)
		}
	}
}
