// Package scenario says in a file what a rehearsal is like: when gifts come, who
// looks on beside them, how they are charged, and what has to hold.
//
// The one invariant: nothing in a file is passed over. A key that is not known, a value
// out of its bounds or a second one for the same thing is refused with its line.
//
// A field that is not in the file has its zero value and leaves its flag of
// `spillway rehearse` at that flag's default. No goroutines.
package scenario

import (
	"errors"
	"time"

	"spillway/loadtest/faults"
)

// ErrScenario says that a file is not a scenario that can be rehearsed.
var ErrScenario = errors.New("bad scenario")

// Scenario is one file. The tags are what its text is held to and its schema says:
// `yaml` is the key, `doc` what it means, `bounds` the least and the most, `enum` the words.
type Scenario struct {
	Name        string `yaml:"name" doc:"A short name: letters, digits and dashes." pattern:"^[a-z0-9][a-z0-9-]{0,62}$"`
	Description string `yaml:"description" doc:"One line for people: what it is for."`
	Seed        int    `yaml:"seed" doc:"Draws a synthetic day, and what the plan of faults leaves open; the same seed is the same day. When not given 1, and for the plan one is drawn and told." bounds:"1..4294967295"`

	Arrivals  Arrivals    `yaml:"arrivals" doc:"When gifts come. They come at their times whatever the answers do."`
	Campaigns Campaigns   `yaml:"campaigns" doc:"What is given to."`
	Donors    Donors      `yaml:"donors" doc:"What those who give do beside giving."`
	Readers   Readers     `yaml:"readers" doc:"Those who look and do not give."`
	Visits    Visits      `yaml:"visits" doc:"What a visit is like, of donors and of readers."`
	Charging  Charging    `yaml:"charging" doc:"How the simulated processor charges, and what goes wrong there."`
	Levels    Levels      `yaml:"levels" doc:"What has to hold for the capacity search to call a rate good."`
	Faults    faults.Plan `yaml:"faults" doc:"What is broken on purpose while gifts come."`
}

// Arrivals says when gifts come: one of Replay, Gifts and Rate.
type Arrivals struct {
	Replay string  `yaml:"replay" doc:"Recorded event: CSV or CSV.gz with offset_ms,campaign,amount_minor,currency. Relative to this file."`
	Speed  float64 `yaml:"speed" doc:"How many times faster than it was to replay the event; 1 when not given." bounds:"0.001..1000000"`
	Copies int     `yaml:"copies" doc:"How many times each recorded gift is sent in its moment; 1 when not given." bounds:"1..1000"`
	Donors float64 `yaml:"donors" doc:"How many times as many donors give, such as 10, 2.5 or 0.1, each at a moment of their own; 1 when not given." bounds:"0.001..1000"`

	Gifts int `yaml:"gifts" doc:"In place of a file: a synthetic giving day of so many gifts, with its opening, bursts and deadline." bounds:"1..1000000000"`

	Rate  float64       `yaml:"rate" doc:"In place of a file: so many gifts per second." bounds:"0.001..1000000"`
	Shape string        `yaml:"shape" doc:"How the rate comes: evenly when not given; step by step to it; rising to it; a tenth of it but for the middle; soak, all the time." enum:"step,ramp,spike,soak"`
	For   time.Duration `yaml:"for" doc:"How long gifts come, such as 30s or 2h; not of a recorded event." bounds:"1ms..168h"`
}

// Campaigns says what is given to.
type Campaigns struct {
	Count int   `yaml:"count" doc:"Campaigns of a synthetic day; the first gets the most. 500 when not given, 1 sends every gift to one." bounds:"1..100000"`
	Hot   Share `yaml:"hot" doc:"How many of the gifts, recorded ones too, go to the campaign with the most instead of their own; none when not given."`
}

// Donors says what those who give do beside giving.
type Donors struct {
	Look     Share         `yaml:"look" doc:"How many of them look at the campaign's page before they give, and watch afterwards; none when not given."`
	Baskets  Share         `yaml:"baskets" doc:"How many of the gifts, recorded ones too, are divided among two or three campaigns; none when not given."`
	Patience time.Duration `yaml:"patience" doc:"How long a gift without a definite answer is sent again, under the same key; 2m when not given." bounds:"1s..24h"`
}

// Readers are those who look and do not give.
type Readers struct {
	PerGift float64 `yaml:"per_gift" doc:"How many of them come for each gift; none when not given." bounds:"0..100"`
}

// Visits says what a visit is like. Times are means of an exponential spread, cut at
// five times the mean.
type Visits struct {
	Day       Share         `yaml:"day" doc:"How many come to the day's page instead of a campaign's; 0% when not given."`
	Think     time.Duration `yaml:"think" doc:"How long they look at the page before they give or watch; 10s when not given." bounds:"1ms..1h"`
	Stream    Share         `yaml:"stream" doc:"How many then hold the live stream. Together with poll at most 100%; the others leave."`
	Poll      Share         `yaml:"poll" doc:"How many then read the totals again and again."`
	Stay      time.Duration `yaml:"stay" doc:"How long they watch; 30s when not given." bounds:"1ms..24h"`
	PollEvery time.Duration `yaml:"poll_every" doc:"The time from one reading to the next of those who poll; 5s when not given." bounds:"100ms..10m"`

	Connections int `yaml:"connections" doc:"Connections of pages and readings; when all are busy they wait, and the waiting counts. 64 when not given." bounds:"1..10000"`
	Streams     int `yaml:"streams" doc:"Most live streams at the same time; who comes when there are so many leaves instead, and is counted. 2000 when not given." bounds:"1..100000"`
}

// Charging says how the simulated processor charges.
type Charging struct {
	Wait     string        `yaml:"wait" doc:"on: have everything charged and judge the money; off: do not; auto: on when the installation is the rehearsal's own." enum:"auto,on,off"`
	Pace     int           `yaml:"pace" doc:"Charges per second; 250 when not given. Stripe's own default is 25." bounds:"1..100000"`
	Patience time.Duration `yaml:"patience" doc:"How long nothing may be charged or fail before the wait is given up; 5m when not given." bounds:"1s..24h"`
	Declines Share         `yaml:"declines" doc:"Cards that are declined."`
	ThreeDS  Share         `yaml:"three_ds" doc:"Donors who are asked for 3-D Secure: most do, some fail, some leave."`
	Timeouts Share         `yaml:"timeouts" doc:"Charges that are carried out and never answered."`
	Storms   Storms        `yaml:"storms" doc:"Half of all calls are refused by 429 for a while, again and again."`
	Webhooks Webhooks      `yaml:"webhooks" doc:"What happens to webhooks."`
}

// Storms are so long, and so often. Both or neither.
type Storms struct {
	For   time.Duration `yaml:"for" doc:"How long one lasts." bounds:"1ms..1h"`
	Every time.Duration `yaml:"every" doc:"The time from the beginning of one to that of the next." bounds:"1ms..24h"`
}

// Webhooks says what happens to them.
type Webhooks struct {
	Lost  Share `yaml:"lost" doc:"Never delivered."`
	Twice Share `yaml:"twice" doc:"Delivered two times."`
	Late  Share `yaml:"late" doc:"Delivered late, after others."`
}

// Levels are what has to hold. A zero is not asked for.
type Levels struct {
	AckP99       time.Duration `yaml:"ack_p99" doc:"From a gift's planned time to its 202, at the 99th percentile." bounds:"1ms..1h"`
	Errors       *Share        `yaml:"errors" doc:"Gifts refused, given up or without an answer at first, of all."`
	StalenessP99 time.Duration `yaml:"staleness_p99" doc:"Age of totals as readers see them, at the 99th percentile." bounds:"1ms..1h"`
	Drain        time.Duration `yaml:"drain" doc:"From the last answer until everything acknowledged is shown." bounds:"1ms..24h"`
}

// Validate tells everything that one field alone does not say. Errors: ErrScenario.
func (s *Scenario) Validate() error {
	var faults faultList
	a := &s.Arrivals
	switch {
	case s.Name == "":
		faults.add("name: is missing")
	case a.Replay == "" && a.Rate == 0 && a.Gifts == 0:
		faults.add("arrivals: say what comes: replay, gifts and for, or rate and for")
	case a.Replay != "" && (a.Rate != 0 || a.Gifts != 0), a.Rate != 0 && a.Gifts != 0:
		faults.add("arrivals: replay, gifts and rate do not go together")
	case a.Replay != "" && a.For != 0:
		faults.add("arrivals.for: a recorded event is as long as it was; use speed")
	case a.Replay == "" && a.For == 0:
		faults.add("arrivals.for: is missing beside gifts or rate")
	case a.Replay == "" && (a.Speed != 0 || a.Copies != 0 || a.Donors != 0):
		faults.add("arrivals: speed, copies and donors belong to replay")
	case a.Copies > 1 && a.Donors != 0:
		faults.add("arrivals: copies and donors do not go together")
	case a.Shape != "" && a.Rate == 0:
		faults.add("arrivals.shape: belongs to rate; a giving day has its own")
	}
	if s.Seed != 0 && s.Faults.Seed != 0 {
		faults.add("seed and faults.seed: one of them; seed draws both")
	}
	if v := &s.Visits; v.Stream+v.Poll > 1 {
		faults.add("visits: stream %v and poll %v together are more than 100%%", v.Stream, v.Poll)
	}
	if t := &s.Charging.Storms; (t.For != 0 || t.Every != 0) && t.Every <= t.For {
		faults.add("charging.storms: for and every are both needed, and every is longer")
	}
	if err := s.Faults.Validate(); err != nil {
		faults.add("faults: %v", err)
	}
	return faults.err()
}
