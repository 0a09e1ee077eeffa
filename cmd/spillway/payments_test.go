package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"spillway/ingest/trace/otlptest"
	"spillway/ledger/payments"
	paymentsdb "spillway/ledger/payments/postgres"
	"spillway/loadtest/stripesim"
)

// holder is a donor with an open page.
type holder struct {
	t    *testing.T
	url  string
	gift accepted
}

// state is what the donor's page shows.
type state struct {
	Status     string `json:"status"`
	Reason     string `json:"reason"`
	Text       string `json:"status_text"`
	NextAction struct {
		ClientSecret string `json:"client_secret"`
	} `json:"next_action"`
}

// donor gives 50 dollars to the demo campaign with a test token.
func donor(t *testing.T, url, key, token string) *holder {
	t.Helper()
	h := &holder{t: t, url: url}
	body := h.post("/v1/donations", key, "",
		`{"currency":"USD","lines":[{"campaign":"`+demoCampaign+`","amount_minor":5000}],"payment":{"confirmation_token":"`+token+`"}}`)
	if err := json.Unmarshal(body, &h.gift); err != nil {
		t.Fatal(err)
	}
	return h
}

// anotherCard offers one.
func (h *holder) anotherCard(key, token string) {
	h.t.Helper()
	h.post(h.gift.StatusURL+"/attempts", key, h.gift.Token, `{"payment":{"confirmation_token":"`+token+`"}}`)
}

func (h *holder) post(path, key, holderToken, body string) []byte {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.url+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key)
	if holderToken != "" {
		req.Header.Set("Authorization", "Bearer "+holderToken)
	}
	status, answer := h.do(req)
	if status != http.StatusAccepted {
		h.t.Fatalf("%s: %d %s", path, status, answer)
	}
	return answer
}

func (h *holder) do(req *http.Request) (status int, body []byte) {
	h.t.Helper()
	res, err := client.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(res.Body); err != nil {
		h.t.Fatal(err)
	}
	return res.StatusCode, b.Bytes()
}

// waits until the page shows the status, and returns all that it shows.
func (h *holder) waits(status string) (s state) {
	h.t.Helper()
	eventually(h.t, func() error {
		req, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, h.url+h.gift.StatusURL+"?wait=1", nil)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+h.gift.Token)
		code, body := h.do(req)
		s = state{}
		if err := json.Unmarshal(body, &s); err != nil {
			return fmt.Errorf("%d %s: %w", code, body, err)
		}
		if s.Status != status {
			return fmt.Errorf("state is %s, want %q", body, status)
		}
		return nil
	})
	return s
}

// wantMoney waits until the demo campaign's public total is this.
func wantMoney(t *testing.T, url string, pledgedMinor, raisedMinor int64) {
	t.Helper()
	eventually(t, func() error {
		_, body, err := get(url + "/v1/campaigns/" + demoCampaign + "/totals")
		if err != nil {
			return err
		}
		var total struct {
			PledgedMinor int64 `json:"pledged_minor"`
			RaisedMinor  int64 `json:"raised_minor"`
		}
		if err := json.Unmarshal(body, &total); err != nil {
			return err
		}
		if total.PledgedMinor != pledgedMinor || total.RaisedMinor != raisedMinor {
			return fmt.Errorf("total is %s, want %d pledged, %d raised", body, pledgedMinor, raisedMinor)
		}
		return nil
	})
}

// wantJournal checks that the journal balances, names each capture once, and says
// of the campaign what its total says.
func wantJournal(t *testing.T, databaseURL string, captures int, raisedMinor int64) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	one := func(what, query string, want int64, args ...any) {
		t.Helper()
		var got int64
		if err := conn.QueryRow(t.Context(), query, args...).Scan(&got); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if got != want {
			t.Errorf("%s: %d, want %d", what, got, want)
		}
	}
	one("captures in the journal", `SELECT count(*) FROM spillway.entries WHERE ref LIKE 'capture:%'`, int64(captures))
	one("entries that do not balance", `SELECT count(*) FROM (
		SELECT 1 FROM spillway.postings GROUP BY slot, n, currency HAVING sum(amount_minor) <> 0) AS unbalanced`, 0)
	one("owed to the campaign", `SELECT -coalesce(sum(amount_minor), 0)::bigint FROM spillway.postings WHERE account = $1`, raisedMinor, "gifts:"+demoCampaign)
}

// What a donor sees of being paid, through real HTTP on both sides.
//
// Every donation is traced meanwhile, and its trace is whole.
func TestUp_DonationsAreChargedOnce(t *testing.T) {
	collector := otlptest.Start(t)
	traceSoon(t)
	// The highest pace that is taken: four times as much for the account once was refused,
	// and nothing was ever charged.
	up, run := startUp(t, dataFolder(t), "--pace", strconv.Itoa(paymentsdb.PerSecondMax), "--trace-endpoint", collector.URL, "--trace-part", "1")
	url := run.HTTPURL

	good := donor(t, url, "a-card-that-works-at-once", "ctoken_card_visa_1")
	if s := good.waits(payments.StatusSucceeded); s.Text == "" {
		t.Error("no plain words for the donor")
	}
	wantMoney(t, url, 5000, 5000)

	declined := donor(t, url, "a-card-that-is-declined", "ctoken_card_chargeDeclined")
	if s := declined.waits(payments.StatusFailed); s.Reason != "declined" || s.Text == "" || strings.Contains(s.Text, "_") {
		t.Errorf("a declined card: %+v", s)
	}
	wantMoney(t, url, 5000, 5000)
	declined.anotherCard("another-card-of-that-donor", "ctoken_card_visa_2")
	declined.waits(payments.StatusSucceeded)
	wantMoney(t, url, 10000, 10000)

	secure := donor(t, url, "a-card-with-3-d-secure-on", "ctoken_card_authenticationRequired")
	s := secure.waits(payments.StatusRequiresAction)
	intent, _, ok := strings.Cut(s.NextAction.ClientSecret, "_secret_")
	if !ok {
		t.Fatalf("nothing for Stripe.js to go on with: %+v", s)
	}
	wantMoney(t, url, 15000, 10000) // it waits for the donor: pledged, not raised
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, run.SimulatorURL+"/sim/intents/"+intent+"/authenticate?outcome=succeed", nil)
	if err != nil {
		t.Fatal(err)
	}
	if status, body := secure.do(req); status != http.StatusOK {
		t.Fatalf("authenticate: %d %s", status, body)
	}
	secure.waits(payments.StatusSucceeded)
	wantMoney(t, url, 15000, 15000)
	wantJournal(t, run.DatabaseURL, 3, 15000)

	var status bytes.Buffer
	if code := runSpillway(&status, "payments", "pace", "status", "--database-url", run.DatabaseURL); code != 0 || !strings.Contains(status.String(), "payment_intents") {
		t.Errorf("pace status: %d\n%s", code, &status)
	}
	wantStory(t, collector, good.gift.ID)
	up.stop()
}

// A paused pace holds charges, not donations, over a restart too.
func TestUp_ThePaceIsPausedAndResumedLive(t *testing.T) {
	long(t)
	t.Parallel()
	dir := dataFolder(t)
	up, run := startUp(t, dir)
	eventually(t, func() error {
		var out bytes.Buffer
		if code := runSpillway(&out, "payments", "pace", "pause", "--data", dir); code != 0 || !strings.Contains(out.String(), "paused") {
			return fmt.Errorf("pause: %d %s", code, &out)
		}
		return nil
	})
	gift := donor(t, run.HTTPURL, "given-while-charging-rests", "ctoken_card_visa_1")
	wantMoney(t, run.HTTPURL, 5000, 0)
	up.stop()

	up, run = startUp(t, dir)
	gift.url = run.HTTPURL
	gift.waits(payments.StatusAccepted)
	for _, args := range [][]string{{"resume"}, {"--rate", "40"}} {
		var out bytes.Buffer
		if code := runSpillway(&out, append(append([]string{"payments", "pace"}, args...), "--data", dir)...); code != 0 {
			t.Fatalf("%v: %d %s", args, code, &out)
		}
	}
	gift.waits(payments.StatusSucceeded)
	wantMoney(t, run.HTTPURL, 5000, 5000)
	up.stop()
}

// A database whose gifts were paid with simulated money is never charged at Stripe.
func TestPayments_RefusesAJournalOfAnotherProcessor(t *testing.T) {
	long(t)
	t.Parallel()
	up, run := startUp(t, dataFolder(t))
	gift := donor(t, run.HTTPURL, "given-to-a-simulated-day", "ctoken_card_visa_1")
	gift.waits(payments.StatusSucceeded)
	other := launch(t, "payments", "--nats-url", run.NATSURL, "--database-url", run.DatabaseURL, "--stripe-key", "sk_test_of_somebody", "--stripe-webhook-secrets", "whsec_x")
	if status := other.wait(); status != exitFailed || !strings.Contains(other.stderr.String(), "simulator") {
		t.Errorf("exit status %d: %s", status, &other.stderr)
	}
	up.stop()
}

// runSpillway runs a command in this process.
func runSpillway(out *bytes.Buffer, args ...string) int { return run(args, nil, out, out) }

// A simulator that ended comes back at its address, with what it had in its log.
func TestSimulator_ComesBackWhereItWas(t *testing.T) {
	cfg := stripesim.Config{Data: t.TempDir(), Log: slog.New(slog.DiscardHandler)}
	sim, ln, err := openSimulator(cfg, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := sim.Close(); err != nil {
		t.Fatal(err)
	}
	back := make(chan *stripesim.Server, 1)
	go func() {
		again, at := reopenSimulator(t.Context(), cfg, ln.Addr().String())
		if again != nil {
			_ = at.Close() // never served
		}
		back <- again
	}()
	if err := ln.Close(); err != nil { // until now another one had its address
		t.Fatal(err)
	}
	again := <-back
	if again == nil {
		t.Fatal("it did not come back")
	}
	if again.Seed() == 0 {
		t.Error("it has no seed")
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if sim, _ := reopenSimulator(ended, cfg, "127.0.0.1:0"); sim != nil {
		t.Error("it came back after the stop")
		_ = sim.Close()
	}
}
