package stripe

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76/webhook"
)

var signedAt = time.Date(2026, 11, 22, 20, 0, 0, 0, time.UTC)

// sign makes the header as Stripe does.
func sign(body, secret string, at time.Time) string {
	return webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: []byte(body), Secret: secret, Timestamp: at}).Header
}

func verifier(t testing.TB, now time.Time, secrets ...string) *Verifier {
	t.Helper()
	v, err := NewVerifier(secrets, 0, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVerify(t *testing.T) {
	const body = `{"id":"evt_1","object":"event"}`
	good := sign(body, "whsec_new", signedAt)
	_, old, _ := strings.Cut(sign(body, "whsec_old", signedAt), ",")
	_, forged, _ := strings.Cut(sign(body, "whsec_forged", signedAt), ",")
	for _, c := range []struct {
		name, body, header string
		now                time.Duration // beside signedAt
		want               error
	}{
		{"signed now", body, good, 0, nil},
		{"signed with a secret that is being rolled", body, sign(body, "whsec_old", signedAt), 0, nil},
		{"signed with both", body, good + "," + old, 0, nil},
		{"a forged signature first", body, strings.Replace(good, ",", ","+forged+",", 1), 0, nil},
		{"an older scheme beside", body, good + ",v0=" + strings.Repeat("0", 64), 0, nil},
		{"blanks after the commas", body, strings.ReplaceAll(good, ",", ", "), 0, nil},
		{"a signature that is not hex beside", body, good + ",v1=xyz", 0, nil},
		{"as old as is allowed", body, good, ToleranceDefault, nil},
		{"older", body, good, ToleranceDefault + time.Second, ErrSignatureTime},
		{"as early as is allowed", body, good, -ToleranceDefault, nil},
		{"from the future", body, good, -ToleranceDefault - time.Second, ErrSignatureTime},
		{"another body", body + " ", good, 0, ErrSignature},
		{"another secret", body, sign(body, "whsec_forged", signedAt), 0, ErrSignature},
		{"another time than was signed", body, strings.Replace(good, fmt.Sprint(signedAt.Unix()), fmt.Sprint(signedAt.Unix()+1), 1), 0, ErrSignature},
		{"the older scheme alone", body, strings.Replace(good, "v1=", "v0=", 1), 0, ErrSignature},
		{"no header", body, "", 0, ErrSignature},
		{"no time", body, good[strings.Index(good, ",")+1:], 0, ErrSignature},
		{"two times", body, good + ",t=1", 0, ErrSignature},
		{"a time that is none", body, "t=now,v1=00", 0, ErrSignature},
		{"an endless header", body, good + strings.Repeat(",v1=00", 1000), 0, ErrSignature},
		{"another form", body, "Bearer token", 0, ErrSignature},
		{"signed, and no event", "{}", sign("{}", "whsec_new", signedAt), 0, ErrEvent},
		{"signed, and no JSON", "evt_1", sign("evt_1", "whsec_new", signedAt), 0, ErrEvent},
	} {
		t.Run(c.name, func(t *testing.T) {
			id, err := verifier(t, signedAt.Add(c.now), "whsec_new", "whsec_old").Verify([]byte(c.body), c.header)
			if !errors.Is(err, c.want) || (err == nil) != (id == "evt_1") {
				t.Errorf("%q, %v; want %v", id, err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "whsec") {
				t.Errorf("a secret is in the error: %v", err)
			}
		})
	}
}

func TestNewVerifier_NeverStartsOpen(t *testing.T) {
	for name, secrets := range map[string][]string{
		"no secret": nil, "an empty one": {""}, "a blank one beside a good one": {"whsec_1", " "}, "a line break": {"whsec_1\n"}, "too many": make([]string, 100),
	} {
		if _, err := NewVerifier(secrets, 0, nil); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if _, err := NewVerifier([]string{"whsec_1"}, -time.Second, nil); err == nil {
		t.Error("a negative tolerance is taken")
	}
}

// FuzzSignatureHeader: a header that we read holds what the library reads from it,
// and none but a signature of the body opens the door.
func FuzzSignatureHeader(f *testing.F) {
	const body = `{"id":"evt_1"}`
	good := sign(body, "whsec_1", signedAt)
	for _, seed := range []string{good, good + ",v1=00", "t=1,v1=", "t=,v1=00", "v1=00", ",,,", "t=1495999758,v1=ABC,v1=DEF,v0=GHI"} {
		f.Add(seed)
	}
	v := verifier(f, signedAt, "whsec_1")
	right := webhook.ComputeSignature(signedAt, []byte(body), "whsec_1")
	f.Fuzz(func(t *testing.T, header string) {
		at, signatures, err := parseSignature(header)
		if err == nil && (len(signatures) == 0 || at.Unix() <= 0) {
			t.Fatalf("%q: %v, %d signatures", header, at, len(signatures))
		}
		if err != nil && !errors.Is(err, ErrSignature) {
			t.Fatalf("%q: %v", header, err)
		}
		id, err := v.Verify([]byte(body), header)
		if err == nil && (id != "evt_1" || !strings.Contains(strings.ToLower(header), hex.EncodeToString(right))) {
			t.Fatalf("%q opens the door", header)
		}
	})
}
