package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"spillway/deploy/onebox"
	"spillway/ingest"
	"spillway/ledger/payments"
)

// day is a giving day whose money people move.
type day struct {
	t   *testing.T
	dir string
	up  *child
	run onebox.Run
}

func openDay(t *testing.T) *day {
	t.Helper()
	dir := dataFolder(t)
	up, run := startUp(t, dir, "--pace", "1000")
	eventually(t, func() error { // the front-end hears of campaigns after it is ready
		for _, c := range demoCampaigns[:2] {
			if status, body, err := get(run.HTTPURL + "/v1/campaigns/" + c.slug); err != nil || status != http.StatusOK {
				return fmt.Errorf("%s: %d %s %v", c.slug, status, body, err)
			}
		}
		return nil
	})
	return &day{t, dir, up, run}
}

// basket gives 30 dollars to one campaign of the demo and 20 to another, and 2 for
// the fee, and waits until they are charged.
func (d *day) basket(key string) *holder {
	d.t.Helper()
	h := &holder{t: d.t, url: d.run.HTTPURL}
	body := h.post("/v1/donations", key, "", `{"currency":"USD","fee_cover_minor":200,"lines":[{"campaign":"`+demoCampaigns[0].slug+
		`","amount_minor":3000},{"campaign":"`+demoCampaigns[1].slug+`","amount_minor":2000}],"payment":{"confirmation_token":"ctoken_card_visa_`+key+`"}}`)
	if err := json.Unmarshal(body, &h.gift); err != nil {
		d.t.Fatal(err)
	}
	h.waits(payments.StatusSucceeded)
	return h
}

// does runs a command of people and returns its status and all that it said.
func (d *day) does(args ...string) (status int, said string) {
	d.t.Helper()
	var out bytes.Buffer
	status = runSpillway(&out, append(args, "--data", d.dir)...)
	return status, out.String()
}

func (d *day) wants(status int, says string, args ...string) string {
	d.t.Helper()
	got, said := d.does(args...)
	if got != status || !strings.Contains(said, says) {
		d.t.Fatalf("%v: exit status %d, want %d; said %q, want %q in it", args, got, status, said, says)
	}
	return said
}

// simulator tells the simulator to do something and returns its answer.
func (d *day) simulator(path string, form ...string) map[string]any {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), http.MethodPost, d.run.SimulatorURL+path, strings.NewReader(strings.Join(form, "&")))
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(simulatorKey, "")
	status, body := (&holder{t: d.t}).do(req)
	var answer map[string]any
	if err := json.Unmarshal(body, &answer); err != nil || status != http.StatusOK {
		d.t.Fatalf("%s: %d %s %v", path, status, body, err)
	}
	return answer
}

// ask puts a question to the database.
func (d *day) ask(query string, args ...any) (answer string) {
	d.t.Helper()
	conn := d.connect()
	if err := conn.QueryRow(d.t.Context(), query, args...).Scan(&answer); err != nil {
		d.t.Fatalf("%s: %v", query, err)
	}
	return answer
}

func (d *day) connect() *pgx.Conn {
	d.t.Helper()
	conn, err := pgx.Connect(d.t.Context(), d.run.DatabaseURL)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = conn.Close(d.t.Context()) })
	return conn
}

// owed is what the journal owes a campaign, raised what its total says.
func (d *day) owed(campaign string) string {
	d.t.Helper()
	return d.ask("SELECT coalesce(-sum(amount_minor), 0)::text FROM spillway.postings WHERE account = $1", "gifts:"+campaign)
}

func (d *day) wantOwed(first, second int64) {
	d.t.Helper()
	eventually(d.t, func() error {
		for i, want := range []int64{first, second} {
			if got := d.owed(demoCampaigns[i].slug); got != fmt.Sprint(want) {
				return fmt.Errorf("%s is owed %s, want %d", demoCampaigns[i].slug, got, want)
			}
			_, body, err := get(d.run.HTTPURL + "/v1/campaigns/" + demoCampaigns[i].slug + "/totals")
			if err != nil || !strings.Contains(string(body), fmt.Sprintf(`"raised_minor":%d,`, want)) {
				return fmt.Errorf("%s: %s, %v, want %d", demoCampaigns[i].slug, body, err, want)
			}
		}
		return nil
	})
}

// Whole, in part, by lines, and twice; and every refusal in words.
func TestRefund(t *testing.T) {
	t.Parallel()
	d := openDay(t)
	by := []string{"--actor", "ann", "--reason", "the donor called"}
	refund := func(args ...string) []string { return append(append([]string{"refund"}, args...), by...) }
	a, b := demoCampaigns[0].slug, demoCampaigns[1].slug

	d.wants(exitFailed, "not in the ledger", refund(ingest.DeriveID([]byte("a key that nobody used")).String())...)
	d.wants(exitFailed, "no donation's ID", refund("river")...)
	d.wants(exitUsage, "--actor", "refund", "x", "--reason", "y")

	whole := d.basket("a-basket-that-goes-back-1")
	d.wantOwed(3000, 2000)
	said := d.wants(0, "done: the processor's refund re_", refund(whole.gift.ID)...)
	if !strings.Contains(said, "USD 52.00") {
		t.Errorf("a whole refund: %s", said)
	}
	d.wants(0, "asked for before", refund(whole.gift.ID)...)
	whole.waits(payments.StatusRefunded)
	d.wantOwed(0, 0)
	d.wants(exitFailed, "more than what is left", refund(whole.gift.ID, "--amount", "0.01")...)

	part := d.basket("a-basket-of-which-part-1")
	for range 2 {
		d.wants(0, "USD 26.00", refund(part.gift.ID, "--amount", "26")...)
	}
	d.wantOwed(1500, 1000)
	d.wants(0, "USD 5.00", refund(part.gift.ID, "--line", a+"=5.00")...)
	d.wantOwed(1000, 1000)
	d.wants(0, "USD 5.00", refund(part.gift.ID, "--line", a+"=5.00", "--key", "another five")...)
	d.wants(0, "asked for before", refund(part.gift.ID, "--line", a+"=5.00", "--key", "another five")...)
	d.wants(exitFailed, "used for something else", refund(part.gift.ID, "--line", a+"=4.00", "--key", "another five")...)
	d.wantOwed(500, 1000)
	for range 2 { // refused is not done: it may be asked again, and is refused again
		d.wants(exitFailed, "left of a line", refund(part.gift.ID, "--line", a+"=5.01")...)
	}
	d.wants(exitFailed, "more than what is left", refund(part.gift.ID, "--amount", "100")...)
	for _, bad := range [][]string{{"--line", "nobody=1"}, {"--line", a}, {"--line", a + "=1.5"}, {"--line", a + "=0"}, {"--line", a + "=1", "--line", a + "=1"},
		{"--amount", "0"}, {"--amount=-1"}, {"--amount", "1", "--line", b + "=2"}} {
		if status, said := d.does(refund(append([]string{part.gift.ID}, bad...)...)...); status != exitFailed || strings.Contains(said, "stored") {
			t.Errorf("%v: exit status %d, %s", bad, status, said)
		}
	}
	d.wants(0, "stored", refund(part.gift.ID, "--line", b+"=10", "--no-wait")...)
	d.wantOwed(500, 0)

	declined := donor(t, d.run.HTTPURL, "nothing-to-give-back-here", "ctoken_card_chargeDeclined")
	declined.waits(payments.StatusFailed)
	d.wants(exitFailed, "nothing was captured", refund(declined.gift.ID)...)
	declined.anotherCard("a-card-that-works-now-yes", "ctoken_card_visa_9")
	declined.waits(payments.StatusSucceeded)
	d.wants(0, "USD 50.00", refund(declined.gift.ID)...) // what was refused then is not refused now

	if n := d.ask("SELECT count(*)::text FROM spillway.refunds WHERE actor = 'ann' AND reason = 'the donor called'"); n != "6" {
		t.Errorf("%s refunds by ann, want 6", n)
	}
	d.up.stop()
}

// With nobody there to carry it out, a refund is stored, and says so; asked again it is
// the same one.
func TestRefund_IsNotKnownYetWithoutPayments(t *testing.T) {
	t.Parallel()
	dir := dataFolder(t)
	up, run := startUp(t, dir, "--no-payments")
	d := &day{t, dir, up, run}
	gift := donor(t, run.HTTPURL, "a-gift-that-nobody-charges", "ctoken_card_visa_1")
	wantTotal(t, run.HTTPURL, 1)
	command := func() string {
		said := d.wants(int(exitUnknown), "not known yet", "refund", gift.gift.ID, "--wait", "1s", "--actor", "ann", "--reason", "too early")
		stored, _, _ := strings.Cut(said, "\n")
		return stored
	}
	first := command()
	if again := command(); again != first || !strings.HasPrefix(first, "stored: command ") {
		t.Errorf("%q, then %q", first, again)
	}
	payer := launch(t, "payments", "--nats-url", run.NATSURL, "--database-url", run.DatabaseURL, "--simulator", run.SimulatorURL)
	// It was asked before anything was captured, or after: either is carried out once.
	eventually(t, func() error {
		status, said := d.does("refund", gift.gift.ID, "--actor", "ann", "--reason", "too early")
		if status != 0 || !strings.Contains(said, "USD 50.00") {
			return fmt.Errorf("exit status %d: %s", status, said)
		}
		return nil
	})
	gift.waits(payments.StatusRefunded)
	if n := d.ask("SELECT count(*)::text FROM spillway.refunds"); n != "1" {
		t.Errorf("%s refunds", n)
	}
	payer.stop()
	up.stop()
}
