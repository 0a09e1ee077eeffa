package main

import (
	"fmt"
	"time"
)

// banner tells a person what runs and what to do with it.
func (u *up) banner() {
	url := u.run.HTTPURL
	fmt.Fprintf(u.out, `
Spillway is ready after %s.

  donors      %s
  operators   %s/metrics

Give:
  curl -i %s/v1/donations -H 'Content-Type: application/json' -H "Idempotency-Key: $(date +%%s%%N)-my-first-gift" \
    -d '{"currency":"USD","lines":[{"campaign":"%s","amount_minor":5000}],"payment":{"confirmation_token":"ctoken_card_visa"}}'

Watch its total move:
  curl -N %s/v1/campaigns/%s/live

Rehearse a giving day against it, and prove the outcome:
  spillway rehearse --target %s --data '%s' --rate 500 --for 30s

Check the books:
  spillway verify --data '%s'

Stop with Ctrl-C; the next start continues. Everything is in %s
`,
		rounded(time.Since(u.progress.begun)), url, u.run.OpsURL,
		url, demoCampaign, url, demoCampaign, url, u.folder.Dir, u.folder.Dir, u.folder.Dir)
}
