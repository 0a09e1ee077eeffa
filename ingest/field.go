package ingest

// FieldError is one thing wrong with one field of a request. It never quotes the
// field's value, so that it may be answered and counted without care.
type FieldError struct {
	// Pointer is the field's RFC 6901 JSON pointer, "" for the whole document.
	Pointer string
	// Code is one of the Code constants; a program decides by it.
	Code string
	// Detail is one sentence for people, with the limit and its unit.
	Detail string
}

// The codes of a FieldError. Those of values are found by Validate and by the
// campaign's own rules; those of form by the parser of the request.
const (
	// Form: the request is malformed.
	CodeSyntax          = "syntax"           // not JSON, not UTF-8, trailing bytes
	CodeDuplicateMember = "duplicate_member" // a member given twice
	CodeUnknownMember   = "unknown_member"   // a member that the contract does not have
	CodeWrongType       = "wrong_type"       // null, or another JSON type than the contract's
	CodeNotAnInteger    = "not_an_integer"   // a fraction, an exponent, -0, or beyond 64 bits
	CodeNUL             = "nul"              // a text with U+0000 in it

	// Values: the request is well-formed, and refused.
	CodeRequired          = "required"           // missing or empty
	CodeUnknownValue      = "unknown_value"      // not one of the listed words
	CodeBadFormat         = "bad_format"         // an e-mail, token, slug or time that cannot be one
	CodeControlCharacter  = "control_character"  // a control character in a text
	CodeTooLong           = "too_long"           // more characters or bytes than allowed
	CodeTooSmall          = "too_small"          // an amount below its least
	CodeTooLarge          = "too_large"          // an amount above its most
	CodeTooMany           = "too_many"           // more lines than allowed
	CodeDuplicateCampaign = "duplicate_campaign" // a campaign in two lines
	CodeCardNumber        = "card_number"        // digits that may be a card's
	CodeMixedBooks        = "mixed_books"        // real and rehearsal campaigns in one donation
	CodeCurrencyMismatch  = "currency_mismatch"  // another currency than the campaign's
	CodeUnknownCampaign   = "unknown_campaign"   // no such campaign
	CodeCampaignNotOpen   = "campaign_not_open"  // before its start or from its end on
)
