package main

import (
	"bytes"
	"fmt"
	"net/http"
	"testing"

	"spillway/ledger/payments"
)

// cancels asks until it is taken: a donation that is not recorded yet is not there
// to be canceled.
func (h *holder) cancels() {
	h.t.Helper()
	eventually(h.t, func() error {
		req, err := http.NewRequestWithContext(h.t.Context(), http.MethodDelete, h.url+h.gift.StatusURL, nil)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+h.gift.Token)
		if status, body := h.do(req); status != http.StatusAccepted {
			return fmt.Errorf("%d %s", status, body)
		}
		return nil
	})
}

// A donor who cancels first is never charged; one who comes too late is told so, and
// keeps a donation that was paid. Totals follow either way.
//
// Traces go to a collector that never answers, which nobody notices.
func TestUp_WhoCancelsFirstIsNotCharged(t *testing.T) {
	t.Parallel()
	dir := dataFolder(t)
	up, run := startUp(t, dir, "--trace-endpoint", hangingCollector(t), "--trace-part", "1")
	url := run.HTTPURL

	paid := donor(t, url, "paid-and-then-canceled-1", "ctoken_card_visa_1")
	paid.waits(payments.StatusSucceeded)
	paid.cancels()

	asked := donor(t, url, "asked-by-the-bank-first-1", "ctoken_card_authenticationRequired")
	asked.waits(payments.StatusRequiresAction)
	asked.cancels()
	asked.waits(payments.StatusCanceled) // at the processor too: nobody can confirm it any more

	pace := func(args ...string) {
		t.Helper()
		eventually(t, func() error {
			var out bytes.Buffer
			if code := runSpillway(&out, append(append([]string{"payments", "pace"}, args...), "--data", dir)...); code != 0 {
				return fmt.Errorf("%v: %d %s", args, code, &out)
			}
			return nil
		})
	}
	pace("pause")
	first := donor(t, url, "canceled-before-the-call1", "ctoken_card_visa_2")
	wantMoney(t, url, 10000, 5000)
	first.cancels()
	first.cancels() // asking twice is once
	first.waits(payments.StatusCanceled)
	wantMoney(t, url, 5000, 5000)
	pace("resume")

	// Charging goes on, and not with what was canceled.
	last := donor(t, url, "given-after-all-of-that-1", "ctoken_card_visa_3")
	last.waits(payments.StatusSucceeded)
	first.waits(payments.StatusCanceled)
	paid.waits(payments.StatusSucceeded)
	wantMoney(t, url, 10000, 10000)
	wantJournal(t, run.DatabaseURL, 2, 10000)
	up.stop()
}
