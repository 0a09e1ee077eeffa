package httpapi

import (
	"bytes"
	"net"
	"net/netip"
	"time"

	"github.com/valyala/fasthttp"

	"spillway/ingest"
	"spillway/ingest/envelope"
	"spillway/ingest/keyring"
	"spillway/ingest/problem"
	"spillway/ledger"
)

const (
	keyHeader       = "Idempotency-Key"
	rehearsalHeader = "Spillway-Rehearsal"
	forwardedHeader = "X-Forwarded-For"
)

// donate takes one donation: POST /v1/donations. It reads as a story, in the
// contract's order of refusals: 413 was fasthttp's, then 415, 400, 429, 404, 422,
// 409. Overload and want of readiness are said before anything is parsed.
func (s *Server) donate(ctx *fasthttp.RequestCtx) {
	if !s.deps.Donations.Take() {
		s.refuseQuickly(ctx, problem.Overloaded)
		return
	}
	defer s.deps.Donations.Give()
	if s.deps.Gate.Ready() != nil || s.deps.Directory.Ready() != nil {
		s.refuseQuickly(ctx, problem.NotReady)
		return
	}
	begun := s.now()
	w := s.scratches.Get().(*scratch)
	defer s.scratches.Put(w)
	w.received = begun.UTC().Truncate(time.Microsecond)
	w.id, w.tracing = ingest.ID{}, tracing{}
	defer s.recordDonation(ctx, w, begun)

	header := &ctx.Request.Header
	if !isJSON(header) {
		s.refuse(ctx, routeDonate, &problem.Problem{Kind: problem.UnsupportedMediaType, Instance: donationsPath})
		return
	}
	if isAmbiguous(header) {
		s.refuse(ctx, routeDonate, &problem.Problem{Kind: problem.BadRequest, Instance: donationsPath})
		ctx.SetConnectionClose()
		return
	}
	if faults := w.parser.parse(ctx.Request.Body(), &w.donation); len(faults) > 0 {
		s.refuse(ctx, routeDonate, &problem.Problem{Kind: problem.MalformedBody, Instance: donationsPath, Fields: faults})
		return
	}
	key, err := ingest.ParseKey(onlyHeader(header, keyHeader))
	if err != nil {
		s.refuse(ctx, routeDonate, &problem.Problem{Kind: problem.Of(err), Instance: donationsPath})
		return
	}
	w.id = ingest.DeriveID(key)
	w.tracing = s.traced(w.id)

	w.client = s.client(ctx)
	w.source = s.deps.Keyring.Source(w.client)
	w.rehearsal = false
	if credential := onlyHeader(header, rehearsalHeader); len(credential) > 0 {
		w.rehearsal = s.deps.Keyring.IsRehearsal(credential)
	}
	if !w.rehearsal {
		if wait, ok := s.deps.Limiter.Allow(w.source, w.client, begun); !ok {
			s.refuseTooFast(ctx, routeDonate, donationsPath, wait)
			return
		}
	}

	s.judge(w)
	accepted, known := s.remembered.lookup(w.id)
	sound := len(w.unknown)+len(w.refused)+len(w.closed) == 0
	switch {
	case known && accepted == w.fingerprint && !sound:
		// This very donation was acknowledged, and its campaign has ended, changed
		// or gone since. A refusal would deny what is on disk; publishing it again
		// would carry a receive time that its campaign does not allow.
		s.accept(ctx, w)
		return
	case len(w.unknown) > 0:
		s.refuseDonation(ctx, w, &problem.Problem{Kind: problem.UnknownCampaign, Fields: w.unknown})
		return
	case len(w.refused) > 0:
		s.refuseDonation(ctx, w, &problem.Problem{Kind: problem.InvalidDonation, Fields: w.refused})
		return
	case known && accepted != w.fingerprint:
		s.refuseDonation(ctx, w, &problem.Problem{Kind: problem.KeyReused})
		return
	case len(w.closed) > 0:
		s.refuseDonation(ctx, w, &problem.Problem{Kind: problem.CampaignNotOpen, Fields: w.closed})
		return
	}

	s.seal(w)
	w.record.Trace = s.handOver(&w.tracing)
	published := s.now()
	err = s.deps.Publisher.Publish(w.book, &w.record)
	settled := s.now()
	w.tracing.published, w.tracing.settled = published, settled
	if err != nil {
		kind := problem.Of(err)
		if kind == problem.Internal {
			// An error that nobody foresaw does not prove that nothing was stored.
			kind = problem.OutcomeUnknown
			s.log.Error("publisher failed in a way that is not in the table", "donation", w.id.String(), "error", err)
		}
		s.refuseDonation(ctx, w, &problem.Problem{Kind: kind})
		return
	}
	s.acknowledged(&w.tracing, settled.Sub(published))
	s.remembered.remember(w.id, w.fingerprint)
	s.accept(ctx, w)
}

// seal makes the record that the broker holds: the donation as it was judged,
// its personal fields sealed.
func (s *Server) seal(w *scratch) {
	d := &w.donation
	amount, _ := d.AmountMinor() // Validate has seen that it fits
	w.record = envelope.Donation{
		ID:                w.id,
		Fingerprint:       w.fingerprint,
		ReceivedAt:        w.received,
		Source:            w.source,
		Rehearsal:         w.book == ledger.Rehearsal,
		Currency:          d.Currency,
		AmountMinor:       amount,
		FeeCoverMinor:     d.FeeCoverMinor,
		Lines:             d.Lines,
		Anonymous:         d.Anonymous,
		HideAmount:        d.HideAmount,
		ConfirmationToken: d.Payment.ConfirmationToken,
		TokenExpiresAt:    d.Payment.ExpiresAt,
	}
	w.sealed, w.record.SealKey = s.deps.Keyring.Seal(w.sealed[:0], w.id, &d.Personal)
	if w.record.SealKey != 0 {
		w.record.Sealed = w.sealed
	}
}

// accept answers 202. Whoever calls it knows that the donation is on disk.
func (s *Server) accept(ctx *fasthttp.RequestCtx, w *scratch) {
	amount, _ := w.donation.AmountMinor()
	url := w.statusURL()
	w.token = s.deps.Keyring.Token(w.token[:0], keyring.Accepted, w.id, w.fingerprint)
	w.out = appendAccepted(w.out[:0], w, amount)
	s.answer(ctx, fasthttp.StatusAccepted, jsonType, w.out)
	ctx.Response.Header.SetCanonical(locationName, url)
	s.metrics.accepted.Inc()
	if w.book == ledger.Rehearsal {
		s.metrics.rehearsed.Inc()
	}
}

// client is the address that the request comes from.
func (s *Server) client(ctx *fasthttp.RequestCtx) netip.Addr {
	remote := remoteAddr(ctx)
	if !s.deps.Proxies.Trusts(remote) {
		return remote
	}
	forwarded := ctx.Request.Header.PeekAll(forwardedHeader)
	if len(forwarded) == 0 {
		return remote
	}
	return s.deps.Proxies.Client(remote, string(bytes.Join(forwarded, []byte{','})))
}

func remoteAddr(ctx *fasthttp.RequestCtx) netip.Addr {
	if own, ok := ctx.Conn().(*conn); ok {
		return own.remote
	}
	if tcp, ok := ctx.RemoteAddr().(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}
