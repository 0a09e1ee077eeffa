package wire_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
	"pgregory.net/rapid"

	"spillway/campaigns"
	"spillway/campaigns/wire"
	"spillway/ledger/money"
)

func drawEvent(t *rapid.T) *campaigns.Event {
	text := rapid.StringN(0, 30, 120)
	return &campaigns.Event{
		Slug: drawSlug(t), Name: text.Draw(t, "name"), TimeZone: text.Draw(t, "zone"), Banner: text.Draw(t, "banner"),
		StartsAt: drawTime(t), EndsAt: drawTime(t), Revision: rapid.Int64Min(0).Draw(t, "revision"),
	}
}

func drawSwitches(t *rapid.T) *campaigns.Switches {
	off := rapid.Bool()
	return &campaigns.Switches{
		LeaderboardsOff: off.Draw(t, "leaderboards"), FeedOff: off.Draw(t, "feed"), LiveOff: off.Draw(t, "live"),
		ExportsOff: off.Draw(t, "exports"), Revision: rapid.Int64Min(1).Draw(t, "revision"),
		ChangedAt: drawTime(t), ChangedBy: rapid.StringN(0, 30, 120).Draw(t, "by"),
	}
}

func drawWall(t *rapid.T) *campaigns.Wall {
	w := &campaigns.Wall{
		Campaign: campaigns.DayWall, Donors: rapid.Int64Min(0).Draw(t, "donors"), AsOf: drawTime(t),
		Version: rapid.Int64Min(0).Draw(t, "version"),
		Gifts:   rapid.SliceOfN(rapid.Custom(drawGift), 0, campaigns.WallGiftsMax).Draw(t, "gifts"),
	}
	if rapid.Bool().Draw(t, "of a campaign") {
		w.Campaign = drawSlug(t)
	}
	return w
}

func drawGift(t *rapid.T) campaigns.Gift {
	text := rapid.StringN(0, 30, 120)
	return campaigns.Gift{
		Ref: rapid.StringN(1, 10, 20).Draw(t, "ref"), Campaign: drawSlug(t), Name: text.Draw(t, "name"),
		AmountMinor: rapid.Int64Min(0).Draw(t, "amount"), Currency: rapid.SampledFrom([]money.Currency{"USD", "JPY"}).Draw(t, "currency"),
		Message: text.Draw(t, "message"), Dedication: text.Draw(t, "dedication"), At: drawTime(t),
	}
}

func TestPages_RoundTripAndSchema(t *testing.T) {
	schema := schema(t)
	rapid.Check(t, func(t *rapid.T) {
		e, s, w := drawEvent(t), drawSwitches(t), drawWall(t)

		m := dynamicpb.NewMessage(schema.ByName("Event"))
		set(m, "slug", e.Slug)
		set(m, "name", e.Name)
		set(m, "time_zone", e.TimeZone)
		setTime(m, "starts_at_us", e.StartsAt)
		setTime(m, "ends_at_us", e.EndsAt)
		set(m, "banner", e.Banner)
		set(m, "revision", e.Revision)
		data := wire.AppendEvent(nil, e)
		equal(t, data, m)
		event, err := wire.DecodeEvent(data)
		clear(data)
		same(t, e, event, err)

		m = dynamicpb.NewMessage(schema.ByName("Switches"))
		set(m, "leaderboards_off", s.LeaderboardsOff)
		set(m, "feed_off", s.FeedOff)
		set(m, "live_off", s.LiveOff)
		set(m, "exports_off", s.ExportsOff)
		set(m, "revision", s.Revision)
		setTime(m, "changed_at_us", s.ChangedAt)
		set(m, "changed_by", s.ChangedBy)
		data = wire.AppendSwitches(nil, s)
		equal(t, data, m)
		switches, err := wire.DecodeSwitches(data)
		clear(data)
		same(t, s, switches, err)

		m = dynamicpb.NewMessage(schema.ByName("Wall"))
		setWall(m, w)
		data = wire.AppendWall(nil, w)
		equal(t, data, m)
		wall, err := wire.DecodeWall(data)
		clear(data)
		same(t, w, wall, err)
	})
}

func setWall(m *dynamicpb.Message, w *campaigns.Wall) {
	set(m, "campaign", w.Campaign)
	set(m, "donors", w.Donors)
	setTime(m, "as_of_us", w.AsOf)
	set(m, "version", w.Version)
	list := m.Mutable(m.Descriptor().Fields().ByName("gifts")).List()
	for _, g := range w.Gifts {
		gift := list.NewElement().Message()
		set(gift, "ref", g.Ref)
		set(gift, "campaign", g.Campaign)
		set(gift, "name", g.Name)
		set(gift, "amount_minor", g.AmountMinor)
		set(gift, "currency", string(g.Currency))
		set(gift, "message", g.Message)
		set(gift, "dedication", g.Dedication)
		setTime(gift, "at_us", g.At)
		list.Append(protoreflect.ValueOfMessage(gift))
	}
}

func setTime(m protoreflect.Message, field protoreflect.Name, at time.Time) {
	if !at.IsZero() {
		set(m, field, at.UnixMicro())
	}
}

// A later build may show more gifts than this one: the newest are kept.
func TestDecodeWall_KeepsTheNewestGifts(t *testing.T) {
	w := &campaigns.Wall{Campaign: "a"}
	for i := range campaigns.WallGiftsMax + 3 {
		w.Gifts = append(w.Gifts, campaigns.Gift{Ref: string(rune('a' + i))})
	}
	got, err := wire.DecodeWall(wire.AppendWall(nil, w))
	if d := cmp.Diff(w.Gifts[:campaigns.WallGiftsMax], got.Gifts); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
}

func TestDecodePages_Refuses(t *testing.T) {
	number := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 5)
	for name, c := range map[string]struct {
		decode func([]byte) (any, error)
		data   []byte
	}{
		"event without slug":       {anEvent, wire.AppendEvent(nil, &campaigns.Event{Name: "x"})},
		"event that is no slug":    {anEvent, wire.AppendEvent(nil, &campaigns.Event{Slug: "A b"})},
		"event, name not UTF-8":    {anEvent, wire.AppendEvent(nil, &campaigns.Event{Slug: "a", Name: "\xff"})},
		"event, slug is a number":  {anEvent, number},
		"event, negative revision": {anEvent, wire.AppendEvent(nil, &campaigns.Event{Slug: "a", Revision: -1})},
		"switches of nothing":      {aSwitch, nil},
		"switch is 5":              {aSwitch, number},
		"switches without number":  {aSwitch, wire.AppendSwitches(nil, &campaigns.Switches{LiveOff: true})},
		"wall of nothing":          {aWall, nil},
		"wall of no slug":          {aWall, wire.AppendWall(nil, &campaigns.Wall{Campaign: "_night"})},
		"wall, negative donors":    {aWall, wire.AppendWall(nil, &campaigns.Wall{Campaign: "a", Donors: -1})},
		"gift without reference":   {aWall, wire.AppendWall(nil, &campaigns.Wall{Campaign: "a", Gifts: []campaigns.Gift{{Name: "x"}}})},
		"gift, negative amount":    {aWall, wire.AppendWall(nil, &campaigns.Wall{Campaign: "a", Gifts: []campaigns.Gift{{Ref: "x", AmountMinor: -1}}})},
		"gift, unknown currency":   {aWall, wire.AppendWall(nil, &campaigns.Wall{Campaign: "a", Gifts: []campaigns.Gift{{Ref: "x", Currency: "XXX"}}})},
		"gift, message not UTF-8":  {aWall, wire.AppendWall(nil, &campaigns.Wall{Campaign: "a", Gifts: []campaigns.Gift{{Ref: "x", Message: "\xff"}}})},
	} {
		if got, err := c.decode(c.data); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if _, err := wire.DecodeCampaign(wire.AppendCampaign(nil, &campaigns.Campaign{Slug: "a", Currency: "USD", Image: "../x"})); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("campaign whose image is no key: %v", err)
	}
}

func anEvent(data []byte) (any, error) { return wire.DecodeEvent(data) }
func aSwitch(data []byte) (any, error) { return wire.DecodeSwitches(data) }
func aWall(data []byte) (any, error)   { return wire.DecodeWall(data) }

func FuzzDecodePages(f *testing.F) {
	f.Add(wire.AppendEvent(nil, &campaigns.Event{Slug: "day", Name: "The day", TimeZone: "UTC", StartsAt: time.Unix(5, 0), Revision: 1}))
	f.Add(wire.AppendSwitches(nil, &campaigns.Switches{LiveOff: true, Revision: 2, ChangedBy: "ada"}))
	f.Add(wire.AppendWall(nil, &campaigns.Wall{Campaign: "a", Donors: 5, Gifts: []campaigns.Gift{{Ref: "x", Campaign: "a", AmountMinor: 5, Currency: "USD"}}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if e, err := wire.DecodeEvent(data); err == nil {
			again, err := wire.DecodeEvent(wire.AppendEvent(nil, e))
			if err != nil || !cmp.Equal(e, again) {
				t.Errorf("event: %v\n%+v\n%+v", err, e, again)
			}
		}
		if s, err := wire.DecodeSwitches(data); err == nil {
			again, err := wire.DecodeSwitches(wire.AppendSwitches(nil, s))
			if err != nil || !cmp.Equal(s, again) {
				t.Errorf("switches: %v\n%+v\n%+v", err, s, again)
			}
		}
		if w, err := wire.DecodeWall(data); err == nil {
			again, err := wire.DecodeWall(wire.AppendWall(nil, w))
			if err != nil || !cmp.Equal(w, again, cmpopts.EquateEmpty()) {
				t.Errorf("wall: %v\n%+v\n%+v", err, w, again)
			}
		}
	})
}
