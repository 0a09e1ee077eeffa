package donations

import (
	"net/http"

	"spillway/campaigns/console/frame"
	"spillway/ledger/search"
)

// hide keeps a gift's name, message or both from the public, or shows them again. The
// walls on which it counts are published anew within a second.
func (s *Section) hide(r *frame.Request) error {
	var in struct {
		What string `json:"what"`
	}
	if err := r.Input(&in); err != nil {
		return err
	}
	what, known := search.ParseHide(in.What)
	if !known {
		return frame.Invalid(frame.Field{Name: "what", Code: "unknown", Detail: "Hide name, message, both, or none."})
	}
	t, v, err := s.story(r)
	if err != nil {
		return err
	}
	if t.Hidden != what {
		if err := r.Audit("donation.hide", t.ID.String(), t.Hidden.String()+" → "+what.String()); err != nil {
			return err
		}
		if err := s.Search.Hide(r.Context(), t.ID, what, r.Principal.Name); err != nil {
			return trouble(err)
		}
	}
	if r.WantsJSON() {
		t.Hidden = what
		return r.Reply(http.StatusOK, asJSON(v))
	}
	return r.Redirect(root+"/"+t.ID.String(), hideWords[what]+" The public sees it within a second.")
}

var hideWords = map[search.Hide]string{
	search.HideNone: "Nothing of this gift is hidden.", search.HideName: "The name is hidden.", search.HideMessage: "Message and dedication are hidden.",
	search.HideBoth: "Name, message and dedication are hidden.",
}
