package credential_test

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"spillway/campaigns/access/credential"
)

var cheap = credential.Params{MemoryKiB: 64, Passes: 1, Lanes: 1}

func TestHasher_VerifiesWhatItHashed(t *testing.T) {
	h := credential.NewHasher(cheap)
	const password = "a horse that staples"
	stored, err := h.Hash(t.Context(), password)
	if err != nil || !strings.HasPrefix(stored, "$argon2id$v=19$m=64,t=1,p=1$") {
		t.Fatalf("%q, %v", stored, err)
	}
	if twice, _ := h.Hash(t.Context(), password); twice == stored {
		t.Error("one password has one hash: there is no salt")
	}
	dearer := credential.NewHasher(credential.Params{MemoryKiB: 128, Passes: 1, Lanes: 1})
	for _, c := range []struct {
		name             string
		hasher           *credential.Hasher
		stored, password string
		ok, again        bool
	}{
		{"right", h, stored, password, true, false},
		{"wrong", h, stored, password + " ", false, false},
		{"empty", h, stored, "", false, false},
		{"nobody", h, "", password, false, false},
		{"too long to be one", h, stored, strings.Repeat("x", credential.PasswordBytesMax+1), false, false},
		{"after the costs were raised", dearer, stored, password, true, true},
	} {
		ok, again, err := c.hasher.Verify(t.Context(), c.stored, c.password)
		if ok != c.ok || again != c.again || err != nil {
			t.Errorf("%s: %v, again %v, %v", c.name, ok, again, err)
		}
	}
}

// The reference implementation's own hash (phc-winner-argon2, test.c: password
// "password", salt "somesalt", t=2, m=2^16, p=1).
func TestVerify_ReadsOthersHashes(t *testing.T) {
	const reference = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	ok, again, err := credential.NewHasher(credential.Params{}).Verify(t.Context(), reference, "password")
	if !ok || !again || err != nil {
		t.Errorf("%v, again %v, %v", ok, again, err)
	}
}

func TestVerify_RefusesHashesThatWereTamperedWith(t *testing.T) {
	h := credential.NewHasher(cheap)
	for _, stored := range []string{
		"x", "$argon2i$v=19$m=64,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA", "$argon2id$v=18$m=64,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=99999999,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA", "$argon2id$v=19$m=64,t=0,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=64,t=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA", "$argon2id$v=19$m=64,t=1,p=1$$AAAAAAAAAAAAAAAAAAAAAA", "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$",
	} {
		if ok, _, err := h.Verify(t.Context(), stored, "password"); ok || !errors.Is(err, credential.ErrHash) {
			t.Errorf("%s: %v, %v", stored, ok, err)
		}
	}
}

// A turn that does not come ends with the request.
func TestHasher_WaitsForItsTurnAsLongAsTheRequest(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h := credential.NewHasher(cheap)
	refused := 0
	for range 50 { // a free turn may win against an ended context
		if _, _, err := h.Verify(ctx, "", "x"); errors.Is(err, context.Canceled) {
			refused++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if refused == 0 {
		t.Error("no request that had ended was refused")
	}
}

func TestCheckPassword(t *testing.T) {
	for password, want := range map[string]bool{
		"a horse that staples": true, "ünïcödé wörds hère": true,
		"short": false, "fourteen chars": false, "aaaaaaaaaaaaaaaaaaaa": false, "annabelle.example1": true, strings.Repeat("ab cd ", 60): false, "\xff\xfe a horse that staples": false,
		"a.very.long.name@example.org": false, "A.Very.Long.Name2026": false,
	} {
		if err := credential.CheckPassword(password, "a.very.long.name@example.org"); (err == nil) != want || err != nil && !errors.Is(err, credential.ErrPassword) {
			t.Errorf("%q: %v", password, err)
		}
	}
}

func TestKey_ParsesWhatWasMade(t *testing.T) {
	text, id, sum := credential.NewKey()
	gotID, got, ok := credential.ParseKey(text)
	if !ok || gotID != id || !got.Same(sum) || !strings.HasPrefix(text, "swk_") {
		t.Errorf("%q: %q, %v", text, gotID, ok)
	}
	other, _, _ := credential.NewKey()
	if _, got, _ := credential.ParseKey(other); got.Same(sum) {
		t.Error("two keys have one secret")
	}
	for _, bad := range []string{"", "swk_", id, text[4:], strings.Replace(text, ".", "", 1), text + "x", text[:len(text)-1], strings.ToUpper(text), "swk_." + text[21:]} {
		if _, _, ok := credential.ParseKey(bad); ok {
			t.Errorf("%q is a key", bad)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	text, _, _ := credential.NewKey()
	f.Add(text)
	f.Add("swk_a.b")
	f.Fuzz(func(t *testing.T, text string) {
		if id, _, ok := credential.ParseKey(text); ok && !strings.HasPrefix(text, "swk_"+id+".") {
			t.Errorf("%q has the ID %q", text, id)
		}
	})
}

func FuzzVerify(f *testing.F) {
	h := credential.NewHasher(cheap)
	stored, err := h.Hash(context.Background(), "a horse that staples")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(stored)
	f.Add("$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, stored string) {
		if len(stored) > 200 || strings.Contains(stored, "m=") && !strings.Contains(stored, "m=64,t=1,p=1$") {
			return // dear ones are refused by their bounds, which a table tests
		}
		if _, _, err := h.Verify(t.Context(), stored, "x"); err != nil && !errors.Is(err, credential.ErrHash) {
			t.Error(err)
		}
	})
}

// RFC 6238, appendix B, SHA-1, with the last six of its eight digits.
func TestFactor_IsTheRFCs(t *testing.T) {
	secret := []byte("12345678901234567890")
	for at, want := range map[int64]string{59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130"} {
		now := time.Unix(at, 0)
		if got, err := credential.FactorCode(secret, credential.FactorStep(now)); err != nil || got != want {
			t.Errorf("at %d: %s, %v, want %s", at, got, err, want)
		}
		for _, off := range []struct {
			by   time.Duration
			want bool
		}{{0, true}, {30 * time.Second, true}, {-30 * time.Second, true}, {90 * time.Second, false}, {-90 * time.Second, false}} {
			if _, ok := credential.CheckFactor(secret, " "+want[:3]+" "+want[3:], now.Add(off.by), 0); ok != off.want {
				t.Errorf("at %d, the clock off by %v: %v", at, off.by, ok)
			}
		}
		step, _ := credential.CheckFactor(secret, want, now, 0)
		if _, ok := credential.CheckFactor(secret, want, now, step); ok {
			t.Errorf("at %d: the code works twice", at)
		}
	}
	for _, bad := range []string{"", "28708", "2870822", "28708x"} {
		if _, ok := credential.CheckFactor(secret, bad, time.Unix(59, 0), 0); ok {
			t.Errorf("%q is a code", bad)
		}
	}
	if got := credential.FactorURL(secret, "Spillway", "ann+x@example.org"); got != "otpauth://totp/Spillway:ann+x@example.org?algorithm=SHA1&digits=6&issuer=Spillway&period=30&secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" {
		t.Error(got)
	}
}

func TestRecovery_ReadsHowPeopleType(t *testing.T) {
	codes, sums := credential.NewRecoveryCodes()
	if len(codes) != credential.RecoveryCodes || len(sums) != len(codes) {
		t.Fatal(len(codes))
	}
	seen := map[string]bool{}
	for i, code := range codes {
		typed := " " + strings.ToUpper(strings.ReplaceAll(code, "-", " ")) + "\n"
		if !credential.RecoverySum(typed).Same(sums[i]) || seen[code] {
			t.Errorf("%q, typed %q, is another", code, typed)
		}
		seen[code] = true
	}
	sum := credential.RecoverySum("")
	if hex.EncodeToString(sum[:]) == hex.EncodeToString(sums[0][:]) {
		t.Error("nothing is a code")
	}
}
