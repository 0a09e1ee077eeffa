package stripe

import (
	"slices"
	"sync"
	"time"

	"spillway/ledger/payments"
)

// alarmEvery is how often the same alarm is logged: a wrong key refuses every call.
const alarmEvery = time.Minute

// alarms remembers when each was last logged.
type alarms struct {
	mu     sync.Mutex
	logged map[string]time.Time
}

// due tells whether an alarm is to be logged now.
func (a *alarms) due(word string, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if last, ok := a.logged[word]; ok && now.Sub(last) < alarmEvery {
		return false
	}
	if a.logged == nil {
		a.logged = make(map[string]time.Time)
	}
	a.logged[word] = now
	return true
}

// alarm counts and logs an answer that is about the installation, and returns it.
func (c *Client) alarm(a payments.Answer) payments.Answer {
	if !slices.Contains(alarmWords, a.Detail) {
		return a
	}
	c.metrics.alarms.WithLabelValues(a.Detail).Inc()
	if c.alarms.due(a.Detail, time.Now()) {
		c.log.Error("the processor's answer needs a person; calls are repeated meanwhile", "alarm", a.Detail)
	}
	return a
}
