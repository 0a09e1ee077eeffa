package loadtest

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/valyala/fasthttp"

	"spillway/loadtest/gift"
	"spillway/loadtest/record"
)

// donationsPath is where donations are given; a donation's state is below it.
const donationsPath = "/v1/donations"

// accepted is the body of a 202.
type accepted struct {
	ID          string    `json:"id"`
	Token       string    `json:"token"`
	Status      string    `json:"status"`
	AcceptedAt  time.Time `json:"accepted_at"`
	AmountMinor int64     `json:"amount_minor"`
	Currency    string    `json:"currency"`
	StatusURL   string    `json:"status_url"`
}

// outcomeOf sorts a status by what it says about the donation (design, public
// contract): a 4xx is a definite refusal, everything else but 202 is unknown. 408
// comes from whoever gave up on the request, at any point of it.
func outcomeOf(status int) record.Outcome {
	switch {
	case status == fasthttp.StatusAccepted:
		return record.Accepted
	case status == fasthttp.StatusTooManyRequests:
		return record.Deferred
	case status >= 400 && status < 500 && status != fasthttp.StatusRequestTimeout:
		return record.Refused
	}
	return record.Unknown
}

// retryAfter reads the header of that name, in seconds; 0 when there is none.
func retryAfter(r *fasthttp.Response) time.Duration {
	seconds, err := strconv.Atoi(string(r.Header.Peek(fasthttp.HeaderRetryAfter)))
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, retryAfterMost)
}

// Parts of a holder token (design, decision 2): kind, fingerprint, authenticator.
const (
	tokenChars        = 44
	tokenBytes        = 33
	tokenKindAccepted = 'a'
)

// scan reads a 202 that is written as our own front-ends write it and says what it
// should, at a quarter of what a JSON parser takes: on one machine the generator's
// time is the target's. Anything else is left to the parser, and false.
func (a *accepted) scan(body []byte, id string, g *gift.Gift) bool {
	var ok bool
	rest := body
	eat := func(text string) {
		if ok = len(rest) >= len(text) && string(rest[:len(text)]) == text; ok {
			rest = rest[len(text):]
		}
	}
	for _, text := range [...]string{`{"id":"`, id, `","token":"`} {
		if eat(text); !ok {
			return false
		}
	}
	if len(rest) < tokenChars {
		return false
	}
	token := rest[:tokenChars]
	rest = rest[tokenChars:]
	if eat(`","status":"accepted","accepted_at":"`); !ok {
		return false
	}
	end := bytes.IndexByte(rest, '"')
	if end < 0 {
		return false
	}
	at, err := time.Parse(time.RFC3339, string(rest[:end]))
	if err != nil {
		return false
	}
	rest = rest[end:]
	var number [20]byte
	amount := strconv.AppendInt(number[:0], g.AmountMinor(), 10)
	for _, text := range [...]string{`","amount_minor":`, string(amount), `,"currency":"`, string(g.Donation.Currency), `","status_url":"`, donationsPath, "/", id, `"}`} {
		if eat(text); !ok {
			return false
		}
	}
	*a = accepted{ID: id, Token: string(token), Status: "accepted", AcceptedAt: at, AmountMinor: g.AmountMinor(), Currency: string(g.Donation.Currency),
		StatusURL: donationsPath + "/" + id}
	return len(rest) == 0
}

// check reads a 202 and compares it with what was sent; wrong is "" when it is
// what the contract promises.
func (a *accepted) check(body []byte, g *gift.Gift) (wrong string) {
	id := g.ID.String()
	if !a.scan(body, id, g) {
		if err := json.Unmarshal(body, a); err != nil {
			return "the body of the 202 is not the contract's"
		}
	}
	switch {
	case a.ID != id:
		return "the 202 has another id than the key gives: " + id
	case a.Status != "accepted":
		return fmt.Sprintf("the 202 has status %q", a.Status)
	case a.AmountMinor != g.AmountMinor() || a.Currency != string(g.Donation.Currency):
		return fmt.Sprintf("the 202 says %d %s, sent were %d %s", a.AmountMinor, a.Currency, g.AmountMinor(), g.Donation.Currency)
	case a.StatusURL != donationsPath+"/"+id:
		return fmt.Sprintf("the 202 has status_url %q", a.StatusURL)
	case a.AcceptedAt.IsZero():
		return "the 202 has no accepted_at"
	}
	var token [tokenBytes]byte
	if len(a.Token) != tokenChars {
		return "the 202's token is not one"
	}
	if _, err := base64.RawURLEncoding.Decode(token[:], []byte(a.Token)); err != nil {
		return "the 202's token is not one"
	}
	fingerprint := g.Donation.Fingerprint()
	if token[0] != tokenKindAccepted || !bytes.Equal(token[1:1+len(fingerprint)], fingerprint[:]) {
		return "the 202's token is for another content or of another kind"
	}
	return ""
}
