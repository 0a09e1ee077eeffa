package campaigns_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"spillway/campaigns"
)

func TestEvent_ValidateSaysEverythingAtOnce(t *testing.T) {
	good := campaigns.Event{Slug: "day", Name: "Day", TimeZone: "Europe/Vienna", Banner: strings.Repeat("é", campaigns.BannerCharsMax),
		StartsAt: noon, EndsAt: noon.Add(1)}
	if err := good.Validate(); err != nil {
		t.Errorf("a good one: %v", err)
	}
	unbound := campaigns.Event{Slug: "day", Name: "Day", TimeZone: "UTC", StartsAt: noon}
	if err := unbound.Validate(); err != nil {
		t.Errorf("without an end: %v", err)
	}
	bad := campaigns.Event{Slug: "The Day", TimeZone: "Vienna", Banner: good.Banner + "é", StartsAt: noon, EndsAt: noon}
	err := bad.Validate()
	if !errors.Is(err, campaigns.ErrInvalid) || strings.Count(err.Error(), campaigns.ErrInvalid.Error()) != 5 {
		t.Errorf("want five faults: %v", err)
	}
	for _, zone := range []string{"", "Local", "../etc/passwd"} {
		e := good
		e.TimeZone = zone
		if err := e.Validate(); !errors.Is(err, campaigns.ErrInvalid) {
			t.Errorf("time zone %q: %v", zone, err)
		}
	}
}

func TestOrganisation_Validate(t *testing.T) {
	good := campaigns.Organisation{Name: "Trust", LegalName: "The Trust, Inc.", TaxNumber: "12-3456789"}
	if err := good.Validate(); err != nil {
		t.Errorf("a good one: %v", err)
	}
	bad := campaigns.Organisation{LegalName: "\xff", TaxNumber: strings.Repeat("1", campaigns.NameCharsMax+1)}
	err := bad.Validate()
	if !errors.Is(err, campaigns.ErrInvalid) || strings.Count(err.Error(), campaigns.ErrInvalid.Error()) != 3 {
		t.Errorf("want three faults: %v", err)
	}
}

func TestMedia_KeyNamesItsBytes(t *testing.T) {
	if got := campaigns.MediaKey([]byte("a picture")); len(got) != campaigns.MediaKeyBytes || !campaigns.ValidMediaKey(got) {
		t.Errorf("key %q", got)
	}
	if got := campaigns.MediaKey(nil); got != "e3b0c44298fc1c149afbf4c8996fb924" { // FIPS 180-4: SHA-256 of nothing
		t.Errorf("key of nothing %q", got)
	}
	for key, want := range map[string]bool{
		strings.Repeat("0a", 16): true, "": false, strings.Repeat("0A", 16): false, strings.Repeat("0", 31): false,
		strings.Repeat("0", 33): false, strings.Repeat("0", 31) + "/": false, strings.Repeat("0", 31) + "g": false,
	} {
		if campaigns.ValidMediaKey(key) != want {
			t.Errorf("%q", key)
		}
	}
	largest := bytes.Repeat([]byte{1}, campaigns.MediaBytesMax)
	for name, c := range map[string]struct {
		contentType string
		data        []byte
		key         string
		want        error
	}{
		"largest":   {"image/jpeg", largest, "", nil},
		"too large": {"image/jpeg", append(largest, 1), "", campaigns.ErrInvalid},
		"nothing":   {"image/png", nil, "", campaigns.ErrInvalid},
		"a script":  {"image/svg+xml", []byte{1}, "", campaigns.ErrInvalid},
		"other key": {"image/png", []byte{1}, strings.Repeat("0a", 16), campaigns.ErrInvalid},
	} {
		m := campaigns.Media{Key: c.key, ContentType: c.contentType, Data: c.data}
		if m.Key == "" {
			m.Key = campaigns.MediaKey(c.data)
		}
		if err := m.Validate(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCampaign_ValidateTextsAndImage(t *testing.T) {
	good := campaigns.Campaign{Slug: "a", Name: "A", Currency: "USD", Story: strings.Repeat("é", campaigns.StoryCharsMax),
		Image: strings.Repeat("0a", 16), StartsAt: time.Time{}}
	if err := good.Validate(); err != nil {
		t.Errorf("a good one: %v", err)
	}
	bad := good
	bad.Story, bad.Image, bad.LegalName = good.Story+"é", "cat.png", "\x00"
	err := bad.Validate()
	if !errors.Is(err, campaigns.ErrInvalid) || strings.Count(err.Error(), campaigns.ErrInvalid.Error()) != 3 {
		t.Errorf("want three faults: %v", err)
	}
}
