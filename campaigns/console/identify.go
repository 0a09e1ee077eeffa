package console

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"spillway/campaigns/access"
	"spillway/campaigns/access/credential"
)

// Names of the console's cookies; over TLS browsers have them with "__Host-" before.
const (
	sessionCookie = "spillway_session"
	pendingCookie = "spillway_login"  // between password and second factor
	deviceCookie  = "spillway_device" // a browser in which its user signed in before
)

// seenEvery is how old the note of a session's or key's last use may get.
const seenEvery = time.Minute

// identity is who makes a request.
type identity struct {
	principal access.Principal
	session   string // its public ID
}

// identify finds out who makes a request: the user of the session cookie, or, where
// there is an Authorization, whoever that names and nobody else. The zero identity is
// nobody. Errors: access.ErrUnavailable, when it can neither be looked up nor
// remembered.
func (c *Console) identify(ctx context.Context, h *fasthttp.RequestHeader, w way) (identity, error) {
	if authorization := string(h.Peek(fasthttp.HeaderAuthorization)); authorization != "" {
		scheme, text, _ := strings.Cut(authorization, " ")
		if !strings.EqualFold(scheme, "Bearer") || !w.allowed() {
			return identity{}, nil
		}
		return c.identifyKey(ctx, strings.TrimSpace(text))
	}
	name := sessionCookie
	if w.secure {
		name = hostPrefix + name
	}
	token := string(h.Cookie(name))
	if token == "" || !w.allowed() {
		return identity{}, nil
	}
	return c.identifySession(ctx, credential.SumOf(token))
}

// hostPrefix ties a cookie to its host.
const hostPrefix = "__Host-"

func (c *Console) identifySession(ctx context.Context, sum credential.Sum) (identity, error) {
	now := c.now()
	live, err := recall(ctx, c, sum, &c.remembered.sessions, func(ctx context.Context) (access.Live, error) {
		return c.deps.Store.Session(ctx, sum)
	})
	if errors.Is(err, access.ErrUnknown) {
		return identity{}, nil
	}
	if err != nil {
		return identity{}, err
	}
	if live.Pending || !now.Before(live.ExpiresAt) || now.Sub(live.SeenAt) > c.config.SessionIdle {
		return identity{}, nil
	}
	if now.Sub(live.SeenAt) > seenEvery {
		live.SeenAt = now
		c.remembered.sessions.update(sum, live)
		if !c.away.Load() {
			if err := c.deps.Store.Seen(ctx, sum, now); err != nil {
				c.log.Debug("a session's use is not noted", "err", err)
			}
		}
	}
	return identity{principal: live.Owner.Principal(), session: live.ID}, nil
}

// heldKey is an API key with the sum that its secret must have.
type heldKey struct {
	access.Key
	sum credential.Sum
}

func (c *Console) identifyKey(ctx context.Context, text string) (identity, error) {
	id, sum, ok := credential.ParseKey(text)
	if !ok {
		return identity{}, nil
	}
	now := c.now()
	at := credential.SumOf(text)
	key, err := recall(ctx, c, at, &c.remembered.keys, func(ctx context.Context) (heldKey, error) {
		k, stored, err := c.deps.Store.Key(ctx, id)
		if err == nil && !stored.Same(sum) {
			err = access.ErrUnknown
		}
		return heldKey{k, stored}, err
	})
	if errors.Is(err, access.ErrUnknown) {
		return identity{}, nil
	}
	if err != nil {
		return identity{}, err
	}
	if !key.sum.Same(sum) || !key.RevokedAt.IsZero() || !key.ExpiresAt.IsZero() && !now.Before(key.ExpiresAt) {
		return identity{}, nil
	}
	if now.Sub(key.UsedAt) > seenEvery {
		key.UsedAt = now
		c.remembered.keys.update(at, key)
		if !c.away.Load() {
			if err := c.deps.Store.KeyUsed(ctx, id, now); err != nil {
				c.log.Debug("an API key's use is not noted", "err", err)
			}
		}
	}
	return identity{principal: key.Principal()}, nil
}
