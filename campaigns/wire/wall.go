package wire

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"spillway/campaigns"
)

// AppendWall appends the wall; times are cut to microseconds, so that AsOf never
// promises more than it did.
func AppendWall(dst []byte, w *campaigns.Wall) []byte {
	dst = appendText(dst, wallCampaign, w.Campaign)
	dst = appendVarint(dst, wallDonors, uint64(w.Donors))
	dst = appendVarint(dst, wallAsOf, micros(w.AsOf))
	dst = appendVarint(dst, wallVersion, uint64(w.Version))
	for i := range w.Gifts {
		g := &w.Gifts[i]
		dst = appendMessage(dst, wallGifts, sizeGift(g))
		dst = appendText(dst, giftRef, g.Ref)
		dst = appendText(dst, giftCampaign, g.Campaign)
		dst = appendText(dst, giftName, g.Name)
		dst = appendVarint(dst, giftAmount, uint64(g.AmountMinor))
		dst = appendText(dst, giftCurrency, string(g.Currency))
		dst = appendText(dst, giftMessage, g.Message)
		dst = appendText(dst, giftDedication, g.Dedication)
		dst = appendVarint(dst, giftAt, micros(g.At))
	}
	return dst
}

func sizeGift(g *campaigns.Gift) int {
	return sizeText(g.Ref) + sizeText(g.Campaign) + sizeText(g.Name) + sizeVarint(uint64(g.AmountMinor)) +
		sizeText(string(g.Currency)) + sizeText(g.Message) + sizeText(g.Dedication) + sizeVarint(micros(g.At))
}

// DecodeWall reads a wall; it shares no memory with data. Of more gifts than a wall
// shows, the newest are kept. Errors: ErrMalformed.
func DecodeWall(data []byte) (*campaigns.Wall, error) {
	w := &campaigns.Wall{}
	err := walk(data, func(num protowire.Number, v value) {
		switch num {
		case wallCampaign:
			w.Campaign = string(v.raw())
			v.check(w.Campaign == campaigns.DayWall || campaigns.ValidSlug(w.Campaign), "not a slug")
		case wallDonors:
			w.Donors = int64(v.atMost(math.MaxInt64))
		case wallAsOf:
			w.AsOf = v.micros()
		case wallVersion:
			w.Version = int64(v.atMost(math.MaxInt64))
		case wallGifts:
			var g campaigns.Gift
			v.message(func(num protowire.Number, v value) { decodeGift(&g, num, v) })
			v.check(g.Ref != "", "gift without reference")
			if len(w.Gifts) < campaigns.WallGiftsMax {
				w.Gifts = append(w.Gifts, g)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	if w.Campaign == "" {
		return nil, malformed("wall of no campaign")
	}
	return w, nil
}

func decodeGift(g *campaigns.Gift, num protowire.Number, v value) {
	switch num {
	case giftRef:
		g.Ref = v.text()
	case giftCampaign:
		g.Campaign = v.slug()
	case giftName:
		g.Name = v.text()
	case giftAmount:
		g.AmountMinor = int64(v.atMost(math.MaxInt64))
	case giftCurrency:
		g.Currency = v.currency()
	case giftMessage:
		g.Message = v.text()
	case giftDedication:
		g.Dedication = v.text()
	case giftAt:
		g.At = v.micros()
	}
}
