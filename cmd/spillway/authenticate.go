package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"spillway/ingest"
	"spillway/ingest/keyring"
	"spillway/ingest/problem"
	"spillway/ledger"
	"spillway/ledger/payments"
)

// authenticatePath is the demonstration's bank: POST {"donation_id","outcome"}, with
// the holder token as Bearer.
const authenticatePath = "/v1/demo/authenticate"

// Bounds of one question to the demonstration's bank.
const (
	authenticateBodyMax = 1 << 10 // bytes: an ID and a word
	authenticateWait    = 5 * time.Second
	askStateWait        = 300 * time.Millisecond
)

// bank stands for a donor's bank where the simulator in this process is the
// processor: it passes on what the donor answered to 3-D Secure. There is none beside
// a real processor, whose own script asks.
type bank struct {
	// simulator is the simulator's address once it listens, "" before.
	simulator func() string
	secrets   *keyring.Keyring
	states    interface {
		AskDonation(ctx context.Context, id ingest.ID) (ledger.State, error)
	}
	log *slog.Logger
}

// handle answers authenticatePath and leaves every other path alone. 202 says that
// the bank has heard, or that there was nothing left to ask: the donation's state
// tells what became of it.
func (b *bank) handle(ctx *fasthttp.RequestCtx) bool {
	if string(ctx.URI().PathOriginal()) != authenticatePath {
		return false
	}
	if !ctx.IsPost() {
		refuseBank(ctx, &problem.Problem{Kind: problem.MethodNotAllowed})
		ctx.Response.Header.Set(fasthttp.HeaderAllow, fasthttp.MethodPost)
		return true
	}
	id, outcome, ok := parseAuthentication(ctx.Request.Body())
	if !ok {
		refuseBank(ctx, &problem.Problem{Kind: problem.MalformedBody, Detail: `Send {"donation_id":"...","outcome":"succeed"}, or "fail".`})
		return true
	}
	scheme, token, _ := strings.Cut(string(ctx.Request.Header.Peek(fasthttp.HeaderAuthorization)), " ")
	_, fingerprint, ok := b.secrets.VerifyToken(id, []byte(token))
	if !ok || !strings.EqualFold(scheme, "bearer") {
		refuseBank(ctx, &problem.Problem{Kind: problem.BadToken})
		ctx.Response.Header.Set(fasthttp.HeaderWWWAuthenticate, "Bearer")
		return true
	}
	wait, cancel := context.WithTimeout(context.Background(), askStateWait)
	defer cancel()
	state, err := b.states.AskDonation(wait, id)
	switch {
	case err != nil:
		refuseBank(ctx, &problem.Problem{Kind: problem.StateUnavailable})
		return true
	case !state.Found:
		refuseBank(ctx, &problem.Problem{Kind: problem.UnknownDonation, Retry: true})
		return true
	case state.Fingerprint != fingerprint:
		refuseBank(ctx, &problem.Problem{Kind: problem.NotTheHolder})
		return true
	}
	if state.Status == payments.StatusRequiresAction && state.ClientSecret != "" {
		if err := b.tell(state.ClientSecret, outcome); err != nil {
			b.log.Warn("the simulated bank cannot be reached", "donation", id.String(), "error", err)
			refuseBank(ctx, &problem.Problem{Kind: problem.StateUnavailable})
			return true
		}
	}
	ctx.SetStatusCode(fasthttp.StatusAccepted)
	ctx.SetContentType("application/json")
	ctx.Response.Header.Set(fasthttp.HeaderCacheControl, "no-store")
	ctx.SetBodyString(`{"status":"told"}`)
	return true
}

// parseAuthentication reads the body strictly.
func parseAuthentication(body []byte) (id ingest.ID, outcome string, ok bool) {
	var asked struct {
		DonationID string `json:"donation_id"`
		Outcome    string `json:"outcome"`
	}
	if len(body) > authenticateBodyMax {
		return id, "", false
	}
	in := json.NewDecoder(strings.NewReader(string(body)))
	in.DisallowUnknownFields()
	if err := in.Decode(&asked); err != nil {
		return id, "", false
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return id, "", false
	}
	id, err := ingest.ParseID([]byte(asked.DonationID))
	return id, asked.Outcome, err == nil && (asked.Outcome == "succeed" || asked.Outcome == "fail")
}

// tell tells the simulator what the donor answered. An intent that waits for nobody
// any more was answered before, in another tab: that is no error.
func (b *bank) tell(clientSecret, outcome string) error {
	intent, _, _ := strings.Cut(clientSecret, "_secret_")
	ctx, cancel := context.WithTimeout(context.Background(), authenticateWait)
	defer cancel()
	address := b.simulator() + "/sim/intents/" + url.PathEscape(intent) + "/authenticate?outcome=" + outcome
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	_ = res.Body.Close() // nothing in it is read
	if res.StatusCode >= http.StatusInternalServerError {
		return fmt.Errorf("answer %d", res.StatusCode)
	}
	return nil
}

// refuseBank answers with a problem document.
func refuseBank(ctx *fasthttp.RequestCtx, p *problem.Problem) {
	p.Instance = authenticatePath
	ctx.SetStatusCode(p.Kind.Status())
	ctx.SetContentType(problem.ContentType)
	ctx.Response.Header.Set(fasthttp.HeaderCacheControl, "no-store")
	if seconds := p.Kind.RetryAfter(rand.Uint32()); seconds > 0 {
		ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, strconv.Itoa(seconds))
	}
	ctx.SetBody(p.AppendJSON(nil))
}
