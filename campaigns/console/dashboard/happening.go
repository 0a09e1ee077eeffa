package dashboard

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"
)

// happeningsMax bounds what is remembered of notable things: a bad evening.
const happeningsMax = 200

// Level says how a thing is meant.
type Level string

// The levels, from what must be looked at now to what is good to know.
const (
	Bad  Level = "bad"
	Warn Level = "warn"
	Info Level = "info"
	Good Level = "good"
)

// Happening is one notable thing.
type Happening struct {
	Number int64     `json:"number"` // counted from 1
	At     time.Time `json:"at"`
	Level  Level     `json:"level"`
	Text   string    `json:"text"`
}

// Trouble is a condition that holds.
type Trouble struct {
	Key   string    `json:"key"`
	Since time.Time `json:"since"`
	Level Level     `json:"level"`
	Text  string    `json:"text"`
}

// condition is something that may be wrong, as a moment has it.
type condition struct {
	key   string
	level Level
	holds bool
	// after and heals are how long it has to hold, or not to, before anybody is told: a
	// figure that dances on its bound is one piece of news.
	after, heals time.Duration
	text, over   string
}

// journal remembers what happened and what is wrong.
type journal struct {
	mu       sync.Mutex
	number   int64
	all      []Happening // oldest first
	troubles map[string]*trouble
}

// trouble is a condition that holds, or did a moment ago.
type trouble struct {
	Trouble
	told   bool
	goneAt time.Time // since when it no longer holds; zero while it does
	seen   bool
}

// tell notes a happening.
func (j *journal) tell(now time.Time, level Level, text string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.note(now, level, text)
}

func (j *journal) note(now time.Time, level Level, text string) {
	j.number++
	if len(j.all) >= happeningsMax {
		j.all = slices.Delete(j.all, 0, len(j.all)-happeningsMax+1)
	}
	j.all = append(j.all, Happening{Number: j.number, At: now.UTC(), Level: level, Text: text})
}

// weigh takes in every condition as it is now. One that was there before and is not
// any more counts as one that does not hold: its process is forgotten.
func (j *journal) weigh(now time.Time, conditions []condition) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.troubles == nil {
		j.troubles = map[string]*trouble{}
	}
	for _, t := range j.troubles {
		t.seen = false
	}
	for _, c := range conditions {
		t := j.troubles[c.key]
		if t != nil {
			t.seen = true
		}
		switch {
		case c.holds && t == nil:
			t = &trouble{Trouble: Trouble{Key: c.key, Since: now.UTC(), Level: c.level, Text: c.text}, seen: true}
			j.troubles[c.key] = t
			j.raise(now, t, c)
		case c.holds:
			t.goneAt = time.Time{}
			if t.told && severity(c.level) < severity(t.Level) {
				j.note(now, c.level, c.text) // it has become worse
			}
			t.Text, t.Level = c.text, c.level
			j.raise(now, t, c)
		case t != nil:
			if t.goneAt.IsZero() {
				t.goneAt = now
			}
			if !t.told {
				delete(j.troubles, c.key)
			} else if now.Sub(t.goneAt) >= c.heals {
				j.note(now, Good, strings.TrimSuffix(c.over, ".")+", after "+span(t.goneAt.Sub(t.Since))+".")
				delete(j.troubles, c.key)
			}
		}
	}
	for key, t := range j.troubles {
		if !t.seen {
			delete(j.troubles, key)
		}
	}
}

// raise tells of a trouble that has held for long enough, once.
func (j *journal) raise(now time.Time, t *trouble, c condition) {
	if !t.told && now.Sub(t.Since) >= c.after {
		t.told = true
		j.note(now, c.level, c.text)
	}
}

// wrong lists what is wrong now, the worst first.
func (j *journal) wrong() []Trouble {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := []Trouble{}
	for _, t := range j.troubles {
		if t.told {
			all = append(all, t.Trouble)
		}
	}
	slices.SortFunc(all, func(a, b Trouble) int {
		return cmp.Or(cmp.Compare(severity(a.Level), severity(b.Level)), a.Since.Compare(b.Since), cmp.Compare(a.Key, b.Key))
	})
	return all
}

func severity(l Level) int { return slices.Index([]Level{Bad, Warn, Info, Good}, l) }

// newest lists what happened, newest first, at most so many.
func (j *journal) newest(most int) []Happening {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := min(most, len(j.all))
	out := slices.Clone(j.all[len(j.all)-n:])
	slices.Reverse(out)
	return out
}
