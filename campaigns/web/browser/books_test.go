package browser

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// total is what the public API says of a campaign.
type total struct {
	RaisedMinor  int64     `json:"raised_minor"`
	PledgedMinor int64     `json:"pledged_minor"`
	Donations    int64     `json:"donations"`
	AsOf         time.Time `json:"as_of"`
}

func totalOf(t testing.TB, slug string) (total, error) {
	res, err := http.Get(visit(t).url + "/v1/campaigns/" + slug + "/totals")
	if err != nil {
		return total{}, err
	}
	defer res.Body.Close()
	var n total
	if err := json.NewDecoder(res.Body).Decode(&n); err != nil || res.StatusCode != http.StatusOK {
		return n, fmt.Errorf("totals of %s: %s, %w", slug, res.Status, err)
	}
	return n, nil
}

// wantGiven waits until the books of a campaign are complete up to now, and wants them
// to hold so many donations and so much money, to the cent.
func wantGiven(t testing.TB, slug string, donations, minor int64) {
	t.Helper()
	now := time.Now()
	err := eventually(func() error {
		n, err := totalOf(t, slug)
		if err != nil {
			return err
		}
		if !n.AsOf.After(now) {
			return fmt.Errorf("%s is complete up to %s only", slug, n.AsOf)
		}
		if n.Donations != donations || n.PledgedMinor != minor || n.RaisedMinor != minor {
			return &final{fmt.Errorf("%s has %+v, want %d donations and %d", slug, n, donations, minor)}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// giveDirectly gives by the API, as another donor.
func giveDirectly(t testing.TB, slug string, minor int64, card string) {
	t.Helper()
	body := fmt.Sprintf(`{"currency":"USD","lines":[{"campaign":%q,"amount_minor":%d}],"payment":{"confirmation_token":"ctoken_card_%s"}}`, slug, minor, card)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, visit(t).url+"/v1/donations", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", fmt.Sprintf("browser-test-%s-%d", slug, time.Now().UnixNano()))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusAccepted {
		t.Fatalf("give directly: %s", res.Status)
	}
}
