package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"spillway/ingest/webhook"
)

// banner tells a person what runs and what to do with it.
func (u *up) banner() {
	url := u.run.HTTPURL
	fmt.Fprintf(u.out, `
Spillway is ready after %s.

  donors      %s
  console     %s
  operators   %s/metrics
  processor   %s

Give:
  curl -i %s/v1/donations -H 'Content-Type: application/json' -H "Idempotency-Key: $(date +%%s%%N)-my-first-gift" \
    -d '{"currency":"USD","lines":[{"campaign":"%s","amount_minor":5000}],"payment":{"confirmation_token":"ctoken_card_visa"}}'

Watch its total move, pledged first, raised when the card was charged:
  curl -N %s/v1/campaigns/%s/live

See the queue of charges and its pace, change it, pause it:
  %s payments pace status --data '%s'

Rehearse a giving day against it, and prove the outcome:
  %s rehearse --target %s --data '%s' --rate 500 --for 30s

Check the books:
  %s verify --data '%s'

Stop with Ctrl-C; the next start continues. Everything is in %s
`,
		rounded(time.Since(u.progress.begun)), url, u.whereConsole(), u.run.OpsURL, u.whoCharges(),
		url, demoCampaign, url, demoCampaign, program(), u.folder.Dir, program(), url, u.folder.Dir, program(), u.folder.Dir, u.folder.Dir)
}

// whereConsole tells a person where organisers go, and the first of them how to get in.
func (u *up) whereConsole() string {
	switch {
	case u.run.ConsoleURL == "":
		return "none here"
	case u.run.FirstOwnerURL != "":
		return u.run.ConsoleURL + "\n  first owner " + u.run.FirstOwnerURL + "  (once, within " + strings.TrimSuffix(firstLinkLife.String(), "0m0s") + ")"
	}
	return u.run.ConsoleURL
}

// whoCharges tells a person where the money goes.
func (u *up) whoCharges() string {
	switch {
	case !u.Named():
		return "none: gifts stay accepted"
	case u.Simulator != "":
		return "simulated at " + u.Simulator + ", no money moves; try ctoken_card_chargeDeclined, ctoken_card_authenticationRequired"
	case u.Live():
		return "Stripe, live: real money, webhooks to " + webhook.Path
	}
	return "Stripe, test mode, webhooks to " + webhook.Path
}

// program is how a person types this program's name: as it was typed, or the go
// command that built it into a temporary folder.
func program() string {
	name := os.Args[0]
	for dir := range strings.SplitSeq(filepath.ToSlash(filepath.Dir(name)), "/") {
		if strings.HasPrefix(dir, "go-build") {
			return "go run ./cmd/spillway"
		}
	}
	return name
}
