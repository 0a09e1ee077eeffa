package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// wantDay waits until the whole day shows what was given: in its sums, in front of
// the leaderboard, among the newest gifts, and on a stream of it all.
func wantDay(t *testing.T, url string, donations, raisedMinor int64) {
	t.Helper()
	read := func(path string, v any) error {
		status, body, err := get(url + path)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("%s: %d %s", path, status, body)
		}
		if err != nil {
			return err
		}
		return json.Unmarshal(body, v)
	}
	type sum struct {
		Donations int64
		Raised    int64 `json:"raised_minor"`
	}
	eventually(t, func() error {
		var day struct{ Totals []sum }
		var front struct {
			Leaders []struct {
				Slug   string
				Raised int64 `json:"raised_minor"`
				Donors int64
			}
		}
		var wall struct {
			Donors int64
			Gifts  []struct{ Campaign string }
		}
		for path, v := range map[string]any{"/v1/day": &day, "/v1/leaderboards": &front, "/v1/day/gifts": &wall} {
			if err := read(path, v); err != nil {
				return err
			}
		}
		if !slices.Equal(day.Totals, []sum{{donations, raisedMinor}}) {
			return fmt.Errorf("the day's sums are %+v", day.Totals)
		}
		if len(front.Leaders) != 1 || front.Leaders[0].Slug != demoCampaign || front.Leaders[0].Raised != raisedMinor || front.Leaders[0].Donors == 0 {
			return fmt.Errorf("the leaders are %+v", front.Leaders)
		}
		if wall.Donors == 0 || int64(len(wall.Gifts)) != donations || wall.Gifts[0].Campaign != demoCampaign {
			return fmt.Errorf("the newest gifts are %+v", wall)
		}
		return nil
	})
	answer, err := http.Get(url + "/v1/live?day=1&campaign=" + demoCampaign)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	missing := []string{"switches", "totals", "wall", "day"}
	for lines := bufio.NewScanner(answer.Body); len(missing) > 0; {
		if !lines.Scan() {
			t.Fatalf("the stream ended before %v: %v", missing, lines.Err())
		}
		if kind, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			missing = slices.DeleteFunc(missing, func(m string) bool { return m == kind })
		}
	}
}
