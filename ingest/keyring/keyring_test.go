package keyring_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"spillway/ingest"
	"spillway/ingest/keyring"
)

// key is a base64 key of 32 equal bytes.
func key(b byte) string {
	return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, 32))
}

// file is a secrets file with these token and seal keys.
func file(keys ...string) string {
	list := strings.Join(keys, ",")
	return `{"token_keys":[` + list + `],"seal_keys":[` + list + `],"source_key":"` + key('s') + `","rehearsal_credential":"` + credential + `"}`
}

func entry(id int, b byte) string { return fmt.Sprintf(`{"id":%d,"key":%q}`, id, key(b)) }

const credential = "rehearse-rehearse-rehearse-rehearse"

func parse(t testing.TB, text string) *keyring.Keyring {
	t.Helper()
	k, err := keyring.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

var (
	id = ingest.DeriveID([]byte("0123456789abcdef"))
	fp = ingest.Fingerprint{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	me = ingest.Personal{Name: "Ada Example", Email: "ada@example.org", Message: "Go team!", DedicationKind: ingest.InMemory, DedicationName: "Grace"}
)

func TestGenerate_WritesAFileThatParses(t *testing.T) {
	random := bytes.NewReader(bytes.Repeat([]byte("0123456789abcdef"), 8))
	k, err := keyring.Generate(random)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	again := parse(t, string(text))
	if !again.IsRehearsal([]byte(k.RehearsalCredential())) {
		t.Error("the file lost the rehearsal credential")
	}
	token := k.Token(nil, keyring.Accepted, id, fp)
	if _, _, ok := again.VerifyToken(id, token); !ok {
		t.Error("the file lost the token key")
	}
	sealed, keyID := k.Seal(nil, id, &me)
	if got, err := again.Open(id, sealed, keyID); err != nil || got != me {
		t.Errorf("the file lost the seal key: %v, %v", got, err)
	}
	addr := netip.MustParseAddr("192.0.2.1")
	if k.Source(addr) != again.Source(addr) {
		t.Error("the file lost the source key")
	}
}

func TestGenerate_NeedsEnoughRandomness(t *testing.T) {
	if _, err := keyring.Generate(strings.NewReader("short")); err == nil {
		t.Error("no error")
	}
}

func TestParse_SaysWhatIsWrongAndNoSecret(t *testing.T) {
	check := func(text string, want ...string) {
		t.Helper()
		k, err := keyring.Parse([]byte(text))
		if k != nil || !errors.Is(err, keyring.ErrSecrets) {
			t.Errorf("%.60s: %v, %v, want ErrSecrets", text, k, err)
			return
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%.60s: %q does not tell %q", text, err, w)
			}
		}
		if strings.Contains(err.Error(), key('a')) || strings.Contains(err.Error(), credential) {
			t.Errorf("%q shows a secret", err)
		}
	}
	good := file(entry(1, 'a'))
	check("")
	check("null", "token_keys", "seal_keys", "source_key", "rehearsal_credential") // all at once
	check(good+"x", "follows")
	check(strings.Replace(good, `"source_key"`, `"sauce_key"`, 1), "JSON")
	check(strings.Replace(good, key('s'), "AAAA", 1), "source_key")
	check(strings.Replace(good, credential, "short", 1), "rehearsal_credential")
	check(strings.Replace(good, credential, strings.Repeat("é", 40), 1), "rehearsal_credential")
	check(file(), "token_keys: 0 keys")
	check(file(entry(0, 'a')), "id 0")
	check(file(entry(1, 'a'), entry(1, 'b')), "id 1")
	check(file(`{"id":1,"key":"AAAA"}`), "3 bytes")
	check(file(`{"id":1,"key":"`+key('a')+`","old":true}`), "JSON")
	check(file(`{"id":-1,"key":"`+key('a')+`"}`), "JSON")
}

func TestKeyring_NeverPrints(t *testing.T) {
	k := parse(t, file(entry(1, 'a')))
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "keyring", k)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "keyring", k)
	printed := log.String()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%p", "%T"} {
		printed += fmt.Sprintf(verb, k) + fmt.Sprintf(verb, struct{ Keys *keyring.Keyring }{k})
	}
	for _, secret := range []string{credential, key('a'), key('s'), strings.Repeat("a", 8), strings.Repeat("61", 8), "97 97 97", "115 115"} {
		if strings.Contains(printed, secret) {
			t.Errorf("shows %q in %s", secret, printed)
		}
	}
}

// A token's text is a promise to donors: what was signed must verify for as long
// as its key is kept.
func TestToken_TextNeverChanges(t *testing.T) {
	k := parse(t, file(entry(1, 'a')))
	const want = "YQECAwQFBgcICQoLDA0ODxDsXei9JyuVWi55dXQRojpt"
	if got := string(k.Token(nil, keyring.Accepted, id, fp)); got != want {
		t.Errorf("token %q, want %q", got, want)
	}
}

func TestVerifyToken_OnlyWhatWasSigned(t *testing.T) {
	k := parse(t, file(entry(1, 'a')))
	for _, kind := range []byte{keyring.Accepted, keyring.Unknown} {
		token := k.Token([]byte("x"), kind, id, fp)[1:]
		if len(token) != keyring.TokenChars {
			t.Fatalf("%d characters", len(token))
		}
		gotKind, gotFP, ok := k.VerifyToken(id, token)
		if !ok || gotKind != kind || gotFP != fp {
			t.Errorf("%c: %c, %x, %v", kind, gotKind, gotFP, ok)
		}
		if _, _, ok := k.VerifyToken(ingest.DeriveID([]byte("another donation")), token); ok {
			t.Error("opens another donation")
		}
		raw, _ := base64.RawURLEncoding.DecodeString(string(token))
		for bit := range len(raw) * 8 {
			changed := bytes.Clone(raw)
			changed[bit/8] ^= 1 << (bit % 8)
			if _, _, ok := k.VerifyToken(id, []byte(base64.RawURLEncoding.EncodeToString(changed))); ok {
				t.Errorf("bit %d may change", bit)
			}
		}
		for _, text := range []string{"", string(token[:43]), string(token) + "A", string(token) + "=", strings.Repeat("!", 44), base64.StdEncoding.EncodeToString(raw) + "+"} {
			if _, _, ok := k.VerifyToken(id, []byte(text)); ok {
				t.Errorf("%q verifies", text)
			}
		}
	}
	if _, _, ok := k.VerifyToken(id, k.Token(nil, 'x', id, fp)); ok {
		t.Error("a token of an unknown kind verifies")
	}
}

func TestKeys_NewestSignsAllVerify(t *testing.T) {
	old := parse(t, file(entry(1, 'a')))
	rotated := parse(t, file(entry(1, 'a'), entry(7, 'b'), entry(3, 'c'))) // the order in the file does not matter
	only7 := parse(t, file(entry(7, 'b')))

	if _, _, ok := rotated.VerifyToken(id, old.Token(nil, keyring.Accepted, id, fp)); !ok {
		t.Error("an old token does not verify")
	}
	if _, _, ok := only7.VerifyToken(id, rotated.Token(nil, keyring.Accepted, id, fp)); !ok {
		t.Error("the newest key does not sign")
	}
	if _, _, ok := only7.VerifyToken(id, old.Token(nil, keyring.Accepted, id, fp)); ok {
		t.Error("a dropped key verifies")
	}
	sealed, keyID := old.Seal(nil, id, &me)
	if got, err := rotated.Open(id, sealed, keyID); err != nil || got != me {
		t.Errorf("an old field does not open: %v", err)
	}
	if _, keyID := rotated.Seal(nil, id, &me); keyID != 7 {
		t.Errorf("sealed under key %d, want the newest", keyID)
	}
	if _, err := only7.Open(id, sealed, keyID); !errors.Is(err, keyring.ErrUnknownKey) {
		t.Errorf("%v, want ErrUnknownKey", err)
	}
}

// A field that an earlier build sealed opens: a log holds them for years.
func TestOpen_ReadsWhatEarlierBuildsSealed(t *testing.T) {
	k := parse(t, file(entry(1, 'a')))
	sealed, err := hex.DecodeString(sealedOnce)
	if err != nil {
		t.Fatal(err)
	}
	got, err := k.Open(id, sealed, 1)
	if err != nil || got != me {
		t.Errorf("%+v, %v", got, err)
	}
}

const sealedOnce = "65551628aa84a48698270cfcd2916e2ffdd558bce8ff198166770e7b513d310e0d513a83d9bf1ceebf17b0cc475fabc910ae682a89df0c89c7c9f2eb0d3bdbe3d1c92224f26865f22882f896ce"

func TestSeal_OpensAgain(t *testing.T) {
	k := parse(t, file(entry(1, 'a')))
	text := rapid.String()
	rapid.Check(t, func(t *rapid.T) {
		p := ingest.Personal{Name: text.Draw(t, "name"), Email: text.Draw(t, "e-mail"), Message: text.Draw(t, "message"),
			DedicationKind: ingest.DedicationKind(rapid.IntRange(0, 2).Draw(t, "kind")), DedicationName: text.Draw(t, "dedication")}
		sealed, keyID := k.Seal([]byte("before"), id, &p)
		if !bytes.HasPrefix(sealed, []byte("before")) {
			t.Fatal("does not append")
		}
		sealed = sealed[len("before"):]
		if p.IsZero() != (len(sealed) == 0) || p.IsZero() != (keyID == 0) {
			t.Fatalf("%d bytes under key %d for %+v", len(sealed), keyID, p)
		}
		got, err := k.Open(id, sealed, keyID)
		if err != nil || got != p {
			t.Fatalf("%+v, %v, want %+v", got, err, p)
		}
		if len(sealed) == 0 {
			return
		}
		for _, s := range []string{p.Name, p.Email, p.Message} {
			if len(s) > 3 && bytes.Contains(sealed, []byte(s)) {
				t.Fatalf("shows %q", s)
			}
		}
		if _, err := k.Open(ingest.DeriveID([]byte("another donation")), sealed, keyID); !errors.Is(err, keyring.ErrSealBroken) {
			t.Fatalf("opens for another donation: %v", err)
		}
		i := rapid.IntRange(0, len(sealed)-1).Draw(t, "byte")
		sealed[i] ^= 1
		if _, err := k.Open(id, sealed, keyID); !errors.Is(err, keyring.ErrSealBroken) {
			t.Fatalf("opens with byte %d changed: %v", i, err)
		}
		if _, err := k.Open(id, sealed[:i], keyID); i > 0 && !errors.Is(err, keyring.ErrSealBroken) {
			t.Fatalf("opens when cut to %d bytes: %v", i, err)
		}
	})
}

func TestSeal_SameFieldsLookDifferent(t *testing.T) {
	k := parse(t, file(entry(1, 'a')))
	a, _ := k.Seal(nil, id, &me)
	b, _ := k.Seal(nil, id, &me)
	if bytes.Equal(a, b) {
		t.Error("two seals are equal: the nonce is not random")
	}
}

func TestSource_IsThePrefixUnderAKey(t *testing.T) {
	k, other := parse(t, file(entry(1, 'a'))), parse(t, strings.Replace(file(entry(1, 'a')), key('s'), key('t'), 1))
	same := func(a, b string) {
		t.Helper()
		if k.Source(netip.MustParseAddr(a)) != k.Source(netip.MustParseAddr(b)) {
			t.Errorf("%s and %s differ", a, b)
		}
	}
	differ := func(a, b string) {
		t.Helper()
		if k.Source(netip.MustParseAddr(a)) == k.Source(netip.MustParseAddr(b)) {
			t.Errorf("%s and %s are the same", a, b)
		}
	}
	same("192.0.2.1", "192.0.2.1")
	same("192.0.2.1", "::ffff:192.0.2.1")
	same("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff")
	same("fe80::1%eth0", "fe80::2%eth1")
	differ("192.0.2.1", "192.0.2.2")
	differ("2001:db8:0:1::1", "2001:db8:0:2::1")
	differ("192.0.2.1", "2001:db8::1")
	if addr := netip.MustParseAddr("192.0.2.1"); k.Source(addr) == other.Source(addr) {
		t.Error("the key does not count")
	}
	if k.Source(netip.Addr{}) != k.Source(netip.IPv6Unspecified()) {
		t.Error("clients without an address have no source of their own")
	}
}

func TestIsRehearsal(t *testing.T) {
	k := parse(t, file(entry(1, 'a')))
	for presented, want := range map[string]bool{credential: true, "": false, credential[1:]: false, credential + "x": false, strings.ToUpper(credential): false} {
		if got := k.IsRehearsal([]byte(presented)); got != want {
			t.Errorf("IsRehearsal(%q) = %v", presented, got)
		}
	}
}

func TestHotPath_DoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("pools drop at random under the race detector")
	}
	k := parse(t, file(entry(1, 'a')))
	dst := make([]byte, 0, 1024)
	token := k.Token(nil, keyring.Accepted, id, fp)
	addr := netip.MustParseAddr("2001:db8::1")
	for name, f := range map[string]func(){
		"Token":       func() { k.Token(dst, keyring.Accepted, id, fp) },
		"VerifyToken": func() { k.VerifyToken(id, token) },
		"Seal":        func() { k.Seal(dst, id, &me) },
		"Source":      func() { k.Source(addr) },
		"IsRehearsal": func() { k.IsRehearsal(token) },
	} {
		if n := testing.AllocsPerRun(200, f); n >= 1 { // a pool may be emptied by the collector now and then
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func FuzzVerifyToken(f *testing.F) {
	k := parse(f, file(entry(1, 'a'), entry(2, 'b')))
	f.Add(k.Token(nil, keyring.Accepted, id, fp))
	f.Add(k.Token(nil, keyring.Unknown, id, fp))
	f.Add([]byte("not a token"))
	f.Fuzz(func(t *testing.T, text []byte) {
		kind, fp, ok := k.VerifyToken(id, text)
		if ok && !bytes.Equal(k.Token(nil, kind, id, fp), text) {
			t.Fatalf("%q verifies and is not what we sign", text)
		}
	})
}

func FuzzOpen(f *testing.F) {
	k := parse(f, file(entry(1, 'a')))
	sealed, _ := k.Seal(nil, id, &me)
	f.Add(sealed)
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, sealed []byte) {
		p, err := k.Open(id, sealed, 1)
		if err != nil && p != (ingest.Personal{}) {
			t.Fatal("an error and fields")
		}
	})
}

func BenchmarkToken(b *testing.B) {
	k, dst := parse(b, file(entry(1, 'a'))), make([]byte, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		k.Token(dst, keyring.Accepted, id, fp)
	}
}

func BenchmarkSeal(b *testing.B) {
	k, dst := parse(b, file(entry(1, 'a'))), make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		k.Seal(dst, id, &me)
	}
}

func BenchmarkSource(b *testing.B) {
	k, addr := parse(b, file(entry(1, 'a'))), netip.MustParseAddr("2001:db8::1")
	b.ReportAllocs()
	for b.Loop() {
		k.Source(addr)
	}
}

func BenchmarkIsRehearsal(b *testing.B) {
	k := parse(b, file(entry(1, 'a')))
	for b.Loop() {
		k.IsRehearsal([]byte(credential))
	}
}
