package payments

import (
	"strings"
	"testing"
	"unicode"
)

// TestWords_ArePlain: every state has a sentence of its own, without codes.
func TestWords_ArePlain(t *testing.T) {
	sentences := map[string]string{}
	check := func(name, words string) {
		t.Helper()
		if words == "" || !strings.HasSuffix(words, ".") || strings.ContainsAny(words, "_<>{}") || strings.ContainsFunc(words, unicode.IsDigit) {
			t.Errorf("%s: %q", name, words)
		}
		if other, twice := sentences[words]; twice {
			t.Errorf("%s and %s say the same", name, other)
		}
		sentences[words] = name
	}
	for _, status := range []string{StatusAccepted, StatusCharging, StatusRequiresAction, StatusSucceeded, StatusRefunded, StatusDisputed, StatusCanceled} {
		check(status, Words(status, "", ""))
	}
	for _, reason := range []FailReason{CardNeeded, Abandoned, Refused} {
		check(string(reason), Words(StatusFailed, reason, ""))
	}
	for _, d := range []Decline{DeclineGeneric, DeclineFunds, DeclineExpired, DeclineDetails, DeclineAuthentication, DeclineUnsupported, DeclineLimit, DeclineTryLater} {
		check(string(d), Words(StatusFailed, Declined, d))
	}
	if Words(StatusFailed, Declined, "new_word") != Words(StatusFailed, Declined, DeclineGeneric) {
		t.Error("a decline that is unknown has no words")
	}
	if Words("no status", "", "") != "" {
		t.Error("words for what is no status")
	}
	if strings.Contains(Words(StatusFailed, CardNeeded, ""), "declined the") {
		t.Error("an expired token sounds like a decline")
	}
}
