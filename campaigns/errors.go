package campaigns

import "errors"

// What asking for a campaign or its total may end in. They cross package borders:
// caches and directories return them, wrapped or bare, and the HTTP edge turns
// them into answers.
var (
	// ErrUnknown says that there is no campaign of this slug.
	ErrUnknown = errors.New("no such campaign")
	// ErrWarming says that totals are still being read from the broker, at start
	// or after a restore: wait a moment and ask again.
	ErrWarming = errors.New("totals are not loaded yet")
	// ErrCurrencyKept says that a campaign would change its currency. Slots, frames
	// and gifts already made are in the old one: create another campaign instead.
	ErrCurrencyKept = errors.New("a campaign's currency cannot be changed once it is created")
	// ErrBookKept says that a campaign would become a rehearsal, or stop being one.
	// Its gifts are in the other book: create another campaign instead.
	ErrBookKept = errors.New("a campaign cannot be turned into a rehearsal or out of one")
	// ErrOvertaken says that somebody else changed the same thing in the meantime: look
	// at what is there now, and change that.
	ErrOvertaken = errors.New("somebody else changed it in the meantime")
)
