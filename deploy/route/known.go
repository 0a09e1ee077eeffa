package route

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

var (
	// ErrUnknown says that Spillway has no such campaign.
	ErrUnknown = errors.New("Spillway does not know it: import it in the console, with this slug")
	// ErrNotOpen says that Spillway would show the campaign and take no gift.
	ErrNotOpen = errors.New("Spillway takes no gifts for it now: change its times in the console, or switch it all the same with --any-phase")
)

const (
	// askTimeout is for one question: a front-end answers from memory.
	askTimeout = 10 * time.Second
	// documentBytesMax bounds a campaign's document: its story has 20,000 letters at most.
	documentBytesMax = 1 << 20
)

// FrontEnd is one of Spillway's, at a URL that does not lead through the proxy.
type FrontEnd struct {
	URL string
	// Client is http.DefaultClient when nil; a question takes askTimeout at most.
	Client *http.Client
}

// Shows asks for the campaign's document, and for its page. Errors: ErrUnknown,
// ErrNotOpen; any other says that the front-end did not answer.
func (f FrontEnd) Shows(ctx context.Context, slug string) error {
	status, body, err := f.get(ctx, "/v1/campaigns/"+slug)
	switch {
	case err != nil:
		return err
	case status == http.StatusNotFound:
		return fmt.Errorf("%s: %w", slug, ErrUnknown)
	case status != http.StatusOK:
		return fmt.Errorf("%s: %s answered %d for its document", slug, f.URL, status)
	}
	var document struct{ Slug, Phase string }
	if err := json.Unmarshal(body, &document); err != nil || document.Slug != slug {
		return fmt.Errorf("%s: what %s answered is no campaign of that slug: is it a front-end of Spillway?", slug, f.URL)
	}
	switch status, _, err := f.get(ctx, "/c/"+slug); {
	case err != nil:
		return err
	case status >= 300 && status < 400:
		return fmt.Errorf("%s: %s leads its page elsewhere: name a front-end, not the proxy before it", slug, f.URL)
	case status != http.StatusOK:
		return fmt.Errorf("%s: %s answered %d for its page", slug, f.URL, status)
	}
	if document.Phase != "open" {
		return fmt.Errorf("%s is %s: %w", slug, document.Phase, ErrNotOpen)
	}
	return nil
}

func (f FrontEnd) get(ctx context.Context, path string) (status int, body []byte, err error) {
	base, err := url.Parse(f.URL)
	if err != nil || base.Host == "" {
		return 0, nil, fmt.Errorf("%q is no URL of a front-end, such as http://10.0.0.11:8080", f.URL)
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(f.URL, "/")+path, nil)
	if err != nil {
		return 0, nil, err
	}
	client := http.Client{}
	if f.Client != nil {
		client = *f.Client
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, fmt.Errorf("Spillway was asked: %w", err)
	}
	body, err = io.ReadAll(io.LimitReader(response.Body, documentBytesMax))
	return response.StatusCode, body, errors.Join(err, response.Body.Close())
}
