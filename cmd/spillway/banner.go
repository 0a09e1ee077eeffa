package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
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
  %s rehearse --target %s --data '%s' --rate 500 --for 30s

Check the books:
  %s verify --data '%s'

Stop with Ctrl-C; the next start continues. Everything is in %s
`,
		rounded(time.Since(u.progress.begun)), url, u.run.OpsURL,
		url, demoCampaign, url, demoCampaign, program(), url, u.folder.Dir, program(), u.folder.Dir, u.folder.Dir)
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
