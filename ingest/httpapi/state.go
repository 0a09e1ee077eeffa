package httpapi

import (
	"bytes"
	"context"
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

// asker is who asks for a donation's state.
type asker struct {
	kind        byte // keyring.Accepted, keyring.Unknown, or 0 without a token
	fingerprint ingest.Fingerprint
}

// state answers GET /v1/donations/{id}.
//
// The ledger's word counts. Where it says nothing, or has not seen the donation
// yet, the holder of a token of kind Accepted is told what this front-end's
// fellow told it: accepted, stale. Such a token never gets a 404, and anybody
// else never gets a guess.
func (s *Server) state(ctx *fasthttp.RequestCtx, id ingest.ID) {
	waitSeconds, ok := parseWait(ctx.URI().QueryArgs())
	if !ok {
		s.refuseState(ctx, id, &problem.Problem{Kind: problem.BadQuery})
		return
	}
	who, ok := s.identify(ctx, id)
	if !ok {
		s.refuseState(ctx, id, &problem.Problem{Kind: problem.BadToken})
		ctx.Response.Header.SetCanonical(challengeName, challengeBearer)
		return
	}
	latest := s.ask(id)
	if waitSeconds > 0 {
		latest = s.awaitChange(id, latest, waitSeconds)
	}
	switch {
	case latest.state.Found:
		s.tell(ctx, appendState(nil, id, who, &latest))
	case who.kind == keyring.Accepted:
		s.tell(ctx, appendState(nil, id, asker{}, &view{state: ledger.State{Status: ledger.StatusAccepted}, stale: true}))
	case latest.stale:
		s.refuseState(ctx, id, &problem.Problem{Kind: problem.StateUnavailable})
	default:
		s.refuseState(ctx, id, &problem.Problem{Kind: problem.UnknownDonation, Retry: who.kind == keyring.Unknown})
	}
}

// identify reads the Authorization header; ok is false for anything but the
// Bearer token of this donation or no header at all.
func (s *Server) identify(ctx *fasthttp.RequestCtx, id ingest.ID) (who asker, ok bool) {
	values := ctx.Request.Header.PeekAll(fasthttp.HeaderAuthorization)
	if len(values) == 0 {
		return asker{}, true
	}
	scheme, token, _ := bytes.Cut(values[0], []byte{' '})
	if len(values) > 1 || !equalFold(scheme, "bearer") {
		return asker{}, false
	}
	who.kind, who.fingerprint, ok = s.deps.Keyring.VerifyToken(id, bytes.TrimLeft(token, " "))
	return who, ok
}

// parseWait reads ?wait=, whole seconds from 0 to waitSecondsMax; 0 when not given.
func parseWait(args *fasthttp.Args) (seconds int, ok bool) {
	values := args.PeekMulti("wait")
	switch {
	case len(values) == 0:
		return 0, true
	case len(values) > 1 || len(values[0]) == 0 || len(values[0]) > 2:
		return 0, false
	}
	for _, c := range values[0] {
		if c < '0' || c > '9' {
			return 0, false
		}
		seconds = seconds*10 + int(c-'0')
	}
	return seconds, seconds <= waitSecondsMax
}

// view is what is known of a donation: the ledger's newest word, and whether
// it could be heard at the last question.
type view struct {
	state ledger.State
	stale bool // the last question was not answered
}

// ask asks the ledger, for askTimeMax at most. Too many questions at once are
// not asked: no answer then.
func (s *Server) ask(id ingest.ID) view {
	if !s.deps.Reads.Take() {
		return view{stale: true}
	}
	defer s.deps.Reads.Give()
	ctx, cancel := context.WithTimeout(context.Background(), askTimeMax)
	defer cancel()
	state, err := s.deps.States.AskDonation(ctx, id)
	if err != nil {
		return view{stale: true}
	}
	return view{state: state}
}

// appendState appends the body of a 200. Everybody with the ID sees the status;
// the holder of a token sees whether its content is the one that counts, and
// when it is, the donation.
func appendState(b []byte, id ingest.ID, who asker, v *view) []byte {
	b = append(b, `{"id":"`...)
	b = id.AppendText(b)
	b = append(b, `","status":`...)
	b = problem.AppendString(b, v.state.Status)
	if v.state.Reason != "" {
		b = append(b, `,"reason":`...)
		b = problem.AppendString(b, v.state.Reason)
	}
	b = append(b, `,"stale":`...)
	b = strconv.AppendBool(b, v.stale)
	if who.kind != 0 {
		lost := who.fingerprint != v.state.Fingerprint
		b = append(b, `,"conflict":`...)
		b = strconv.AppendBool(b, lost)
		if !lost {
			b = appendHeld(b, &v.state)
		}
	}
	return append(b, '}')
}

// appendHeld appends the members that only the holder may see. What the card's bank
// said is told in plain words and never by its code.
func appendHeld(b []byte, st *ledger.State) []byte {
	b = append(b, `,"amount_minor":`...)
	b = strconv.AppendInt(b, st.AmountMinor, 10)
	b = append(b, `,"fee_cover_minor":`...)
	b = strconv.AppendInt(b, st.FeeCoverMinor, 10)
	b = append(b, `,"currency":`...)
	b = problem.AppendString(b, st.Currency)
	b = append(b, `,"lines":[`...)
	for i := range st.Lines {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"campaign":`...)
		b = problem.AppendString(b, st.Lines[i].Campaign)
		b = append(b, `,"amount_minor":`...)
		b = strconv.AppendInt(b, st.Lines[i].AmountMinor, 10)
		b = append(b, '}')
	}
	b = append(b, `],"accepted_at":"`...)
	b = st.ReceivedAt.UTC().AppendFormat(b, timeLayout)
	b = append(b, `","recorded_at":"`...)
	b = st.RecordedAt.UTC().AppendFormat(b, timeLayout)
	b = append(b, `","attempt_no":`...)
	b = strconv.AppendInt(b, int64(st.AttemptNo), 10)
	b = append(b, `,"refunded_minor":`...)
	b = strconv.AppendInt(b, st.RefundedMinor, 10)
	if st.Dispute != "" {
		b = append(b, `,"dispute":`...)
		b = problem.AppendString(b, st.Dispute)
	}
	if text := payments.Words(st.Status, payments.FailReason(st.Reason), payments.Decline(st.Decline)); text != "" {
		b = append(b, `,"status_text":`...)
		b = problem.AppendString(b, text)
	}
	if st.Status == payments.StatusRequiresAction && st.ClientSecret != "" {
		b = appendNextAction(b, st.ClientSecret)
	}
	if wait := (st.ExpectedWait + time.Second - 1) / time.Second; wait > 0 {
		b = append(b, `,"expected_wait_seconds":`...)
		b = strconv.AppendInt(b, int64(wait), 10)
	}
	return b
}

// appendNextAction appends what Stripe.js needs to let the donor's bank ask them
// (docs.stripe.com/js/payment_intents/handle_next_action). The intent's ID is the
// client secret's beginning.
func appendNextAction(b []byte, clientSecret string) []byte {
	intent, _, _ := strings.Cut(clientSecret, "_secret_")
	b = append(b, `,"next_action":{"type":"use_stripe_sdk","client_secret":`...)
	b = problem.AppendString(b, clientSecret)
	b = append(b, `,"intent":`...)
	b = problem.AppendString(b, intent)
	return append(b, '}')
}

func (s *Server) tell(ctx *fasthttp.RequestCtx, body []byte) {
	s.metrics.told.Inc()
	s.answer(ctx, fasthttp.StatusOK, jsonType, body)
}

func (s *Server) refuseState(ctx *fasthttp.RequestCtx, id ingest.ID, p *problem.Problem) {
	p.Instance = donationPrefix + id.String()
	s.refuse(ctx, routeState, p)
}
