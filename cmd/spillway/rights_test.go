package main

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"spillway/cmd/spillway/internal/config"
	"spillway/deploy/onebox/pgtest"
	"spillway/ledger/payments/charge"
	ledgerdb "spillway/ledger/postgres"
)

// said is a log that is read while it is written.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *said) has(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Contains(s.text.String(), text)
}

// A process says once what it may do to the books, also when the database is migrated
// only later.
func TestSayRights_OnceTheDatabaseAnswers(t *testing.T) {
	db, err := ledgerdb.Open(ledgerdb.Config{URL: pgtest.URL(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx, cancel := context.WithCancel(t.Context())
	log, ended := &said{}, make(chan error, 1)
	go func() { ended <- sayRights(ctx, db, slog.New(slog.NewTextHandler(log, nil))) }()
	if err := db.Migrate(t.Context()); err != nil {
		t.Error(err)
	}
	guarded, err := db.Guarded(t.Context())
	if err != nil {
		t.Error(err)
	}
	want := map[bool]string{true: "level=INFO", false: "level=WARN"}[guarded]
	for deadline := time.Now().Add(patience); !log.has(want); <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Error("nothing was said")
			break
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestModeOf_IsTheKeys(t *testing.T) {
	for _, test := range []struct {
		processor config.Processor
		want      charge.Mode
	}{
		{config.Processor{StripeKey: "sk_live_x"}, charge.LiveMode},
		{config.Processor{StripeKey: "rk_live_x"}, charge.LiveMode},
		{config.Processor{StripeKey: "sk_test_x"}, charge.TestMode},
		{config.Processor{Simulator: "http://127.0.0.1:1"}, charge.AnyMode},
	} {
		if got := modeOf(test.processor); got != test.want {
			t.Errorf("%+v: mode %d, want %d", test.processor, got, test.want)
		}
	}
}
