package credential

import (
	"crypto/subtle"
	"encoding/base32"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
)

// A second factor is RFC 6238 as every authenticator app reads it: SHA-1, six
// digits, thirty seconds.
const (
	FactorBytes  = 20 // RFC 4226, section 4: 160 bits recommended
	factorPeriod = 30 * time.Second
	// factorSkew is how many steps a phone's clock may be off, RFC 6238, section 5.2.
	factorSkew = 1
)

// NewFactor makes the secret of a second factor.
func NewFactor() []byte { return random(FactorBytes) }

// FactorText is the secret as people type it into an app.
func FactorText(secret []byte) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
}

// FactorURL is what the app reads from a QR code.
func FactorURL(secret []byte, issuer, account string) string {
	v := url.Values{"secret": {FactorText(secret)}, "issuer": {issuer}, "algorithm": {"SHA1"}, "digits": {"6"}, "period": {"30"}}
	u := url.URL{Scheme: "otpauth", Host: "totp", Path: "/" + issuer + ":" + account,
		RawQuery: strings.ReplaceAll(v.Encode(), "+", "%20")} // apps do not read + as a space
	return u.String()
}

// CheckFactor tells whether code is the secret's at now, and its step. A step up to
// last was used already and is refused; the caller stores the new one, atomically,
// before it lets anybody in.
func CheckFactor(secret []byte, code string, now time.Time, last int64) (step int64, ok bool) {
	code = strings.ReplaceAll(strings.TrimSpace(code), " ", "")
	at := now.Unix() / int64(factorPeriod.Seconds())
	for s := at - factorSkew; s <= at+factorSkew; s++ {
		want, err := FactorCode(secret, s)
		if err == nil && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 && s > last {
			step, ok = s, true
		}
	}
	return step, ok
}

// FactorCode is the secret's code of a step, the number of half minutes since 1970.
func FactorCode(secret []byte, step int64) (string, error) {
	return hotp.GenerateCodeCustom(FactorText(secret), uint64(step), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
}

// FactorStep is the step of a moment.
func FactorStep(t time.Time) int64 { return t.Unix() / int64(factorPeriod.Seconds()) }

// RecoveryCodes is how many codes a user gets for the day when the phone is gone.
const RecoveryCodes = 10

// recoveryBytes gives 80 bits: more than can be guessed, and SHA-256 is enough to
// store it.
const recoveryBytes = 10

// NewRecoveryCodes makes codes of the form abcd-efgh-ijkl-mnop, told once, and their sums.
func NewRecoveryCodes() (codes []string, sums []Sum) {
	for range RecoveryCodes {
		text := strings.ToLower(base32.StdEncoding.EncodeToString(random(recoveryBytes)))
		code := text[0:4] + "-" + text[4:8] + "-" + text[8:12] + "-" + text[12:16]
		codes, sums = append(codes, code), append(sums, RecoverySum(code))
	}
	return codes, sums
}

// RecoverySum is the sum of a code as somebody typed it.
func RecoverySum(typed string) Sum {
	var b strings.Builder
	for _, r := range strings.ToLower(typed) {
		if r >= 'a' && r <= 'z' || r >= '2' && r <= '7' {
			b.WriteRune(r)
		}
	}
	return SumOf("recovery " + strconv.Itoa(b.Len()) + " " + b.String())
}
