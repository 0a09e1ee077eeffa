package payments

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"spillway/ledger/money"
)

func drawCommand(t *rapid.T) *Command {
	id := func(label string) [16]byte {
		return [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Filter(func(b []byte) bool { return !bytes.Equal(b, make([]byte, 16)) }).Draw(t, label))
	}
	minor := rapid.Int64Range(1, commandMinorMax)
	c := &Command{
		ID: id("id"), At: time.UnixMicro(rapid.Int64Range(0, 4e15).Draw(t, "at")).UTC(),
		Actor: rapid.StringMatching(`[a-zé<&"\\]{1,20}`).Draw(t, "actor"), Reason: rapid.StringMatching(`[ -~é]{0,40}`).Draw(t, "reason"),
	}
	switch rapid.IntRange(0, 2).Draw(t, "kind") {
	case 0:
		c.Refund = &RefundAsked{Donation: id("donation")}
		switch rapid.IntRange(0, 2).Draw(t, "part") {
		case 1:
			c.Refund.AmountMinor = minor.Draw(t, "amount")
		case 2:
			c.Refund.Lines = rapid.SliceOfN(rapid.Int64Range(0, 1000), 1, 5).Draw(t, "lines")
			c.Refund.AmountMinor = rapid.Int64Range(1, 50).Draw(t, "cover")
			for _, l := range c.Refund.Lines {
				c.Refund.AmountMinor += l
			}
		}
	case 1:
		c.Offline = &OfflineGift{Campaign: "river", AmountMinor: minor.Draw(t, "amount"), Currency: "USD"}
	case 2:
		c.Correction = &Correction{Debit: "bank", Credit: "processor:stripe", AmountMinor: minor.Draw(t, "amount"), Currency: "JPY"}
		if rapid.Bool().Draw(t, "about a donation") {
			c.Correction.Donation = id("donation")
		}
	}
	return c
}

func TestCommand_ComesBackAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCommand(t)
		data, err := EncodeCommand(c)
		if err != nil {
			t.Fatal(err)
		}
		back, err := DecodeCommand(data)
		if err != nil || !reflect.DeepEqual(back, c) {
			t.Fatalf("%s: got %+v, %v", data, back, err)
		}
	})
}

const refundJSON = `{"id":"01020304-0506-8708-8908-0a0b0c0d0e0f","at":"2026-11-22T12:00:00Z","actor":"ada","reason":"","refund":{"donation":"11020304-0506-8708-8908-0a0b0c0d0e0f"}}`

func TestCommand_TakesNothingElse(t *testing.T) {
	if _, err := DecodeCommand([]byte(refundJSON)); err != nil {
		t.Fatal(err)
	}
	replace := func(old, new string) string {
		return string(bytes.Replace([]byte(refundJSON), []byte(old), []byte(new), 1))
	}
	for name, data := range map[string]string{
		"nothing":                  ``,
		"an unknown member":        replace(`"actor"`, `"more":1,"actor"`),
		"a member twice":           replace(`"actor":"ada"`, `"actor":"bob","actor":"ada"`),
		"another case":             replace(`"actor"`, `"Actor"`),
		"spaces":                   replace(`,`, `, `),
		"more after it":            refundJSON + `{}`,
		"no id":                    replace(`01020304-0506-8708-8908-0a0b0c0d0e0f`, `00000000-0000-0000-0000-000000000000`),
		"an id in capitals":        replace(`0a0b0c0d0e0f`, `0A0B0C0D0E0F`),
		"an id without its dashes": replace(`01020304-0506`, `010203040506x`),
		"nobody":                   replace(`"ada"`, `""`),
		"a control character":      replace(`"ada"`, `"a\u0001"`),
		"two things at once":       replace(`"refund"`, `"offline_gift":{"campaign":"a","amount_minor":1,"currency":"USD"},"refund"`),
		"nothing asked":            replace(`,"refund":{"donation":"11020304-0506-8708-8908-0a0b0c0d0e0f"}`, ``),
		"a negative amount":        replace(`0e0f"}`, `0e0f","amount_minor":-5}`),
		"an amount that is none":   replace(`0e0f"}`, `0e0f","amount_minor":1.5}`),
		"lines beyond the amount":  replace(`0e0f"}`, `0e0f","amount_minor":5,"lines_minor":[3,3]}`),
		"lines without an amount":  replace(`0e0f"}`, `0e0f","lines_minor":[3,3]}`),
		"a negative line":          replace(`0e0f"}`, `0e0f","amount_minor":5,"lines_minor":[8,-3]}`),
		"a time without a zone":    replace(`12:00:00Z`, `12:00:00`),
		"a time of another zone":   replace(`12:00:00Z`, `12:00:00+01:00`),
	} {
		if c, err := DecodeCommand([]byte(data)); !errors.Is(err, ErrCommand) {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
	for name, c := range map[string]Command{
		"no campaign":           {Offline: &OfflineGift{AmountMinor: 1, Currency: "USD"}},
		"no currency":           {Offline: &OfflineGift{Campaign: "a", AmountMinor: 1}},
		"an amount of nothing":  {Offline: &OfflineGift{Campaign: "a", Currency: "USD"}},
		"to the same account":   {Correction: &Correction{Debit: "bank", Credit: "bank", AmountMinor: 1, Currency: "USD"}},
		"an amount too great":   {Correction: &Correction{Debit: "bank", Credit: "a", AmountMinor: commandMinorMax + 1, Currency: money.Currency("USD")}},
		"more lines than gifts": {Refund: &RefundAsked{Donation: [16]byte{1}, AmountMinor: 300, Lines: make([]int64, commandLinesMax+1)}},
	} {
		c.ID, c.At, c.Actor = [16]byte{1}, time.Unix(1, 0).UTC(), "ada"
		if _, err := EncodeCommand(&c); !errors.Is(err, ErrCommand) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever is taken is written the same way again.
func FuzzDecodeCommand(f *testing.F) {
	f.Add([]byte(refundJSON))
	f.Add([]byte(`{"id":"01020304-0506-8708-8908-0a0b0c0d0e0f","at":"2026-11-22T12:00:00.5Z","actor":"ada","reason":"cheque","offline_gift":{"campaign":"river","amount_minor":5,"currency":"EUR"}}`))
	f.Add([]byte(`{"id":"01020304-0506-8708-8908-0a0b0c0d0e0f","at":"2026-11-22T12:00:00Z","actor":"a","reason":"","correction":{"debit":"bank","credit":"x","amount_minor":5,"currency":"EUR","donation":""}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := DecodeCommand(data)
		if err != nil {
			if !errors.Is(err, ErrCommand) {
				t.Fatalf("error %v", err)
			}
			return
		}
		again, err := EncodeCommand(c)
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%q became %q, %v", data, again, err)
		}
	})
}
