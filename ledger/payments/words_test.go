package payments

import (
	"strings"
	"testing"
	"unicode"
)

func TestParseDecline(t *testing.T) {
	for code, want := range map[string]Decline{
		"":                                      DeclineNone,
		"insufficient_funds":                    DeclineFunds,
		"expired_card":                          DeclineExpired,
		"incorrect_cvc":                         DeclineDetails,
		"payment_intent_authentication_failure": DeclineAuthentication,
		"authentication_required":               DeclineAuthentication,
		"card_not_supported":                    DeclineUnsupported,
		"withdrawal_count_limit_exceeded":       DeclineLimit,
		"try_again_later":                       DeclineTryLater,
		"do_not_honor":                          DeclineGeneric,
		"stolen_card":                           DeclineGeneric,
		"lost_card":                             DeclineGeneric,
		"fraudulent":                            DeclineGeneric,
		"a_code_of_next_year":                   DeclineGeneric,
	} {
		if got := ParseDecline(code); got != want {
			t.Errorf("%q is %q, want %q", code, got, want)
		}
	}
}

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
