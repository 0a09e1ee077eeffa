package dashboard

import (
	"time"

	"spillway/campaigns"
	"spillway/campaigns/status"
	"spillway/ledger/money"
	"spillway/ledger/payments"
)

// view is everything that a moment is made of, as it was known at Now.
type view struct {
	Now       time.Time
	Sums      []Sum
	AsOf      time.Time       // of the totals; zero while nothing was heard
	Wall      *campaigns.Wall // of the whole day; nil while none was heard
	Processes []Process
	Switches  campaigns.Switches
	Database  databaseView
	Own       string // node of this process
}

// databaseView is what the database said last.
type databaseView struct {
	AskedAt  time.Time // zero: not yet
	Away     bool
	Since    time.Time // Away
	Paces    []payments.Pace
	Endpoint string // of the pace that charges
}

// Moment is the state of everything at one second: what the JSON API answers, what
// pages show, and what happenings are told from. Rates are per second.
type Moment struct {
	Number int64     `json:"number"` // of its point in the history
	At     time.Time `json:"at"`

	Totals []TotalView `json:"totals"`
	// AsOf: every donation acknowledged before it is inside; null while nothing was heard.
	AsOf   *time.Time `json:"as_of"`
	LagMS  int64      `json:"lag_ms"`
	Stale  bool       `json:"stale"`
	Donors *int64     `json:"donors"` // null while not known
	// DonorsAsOf is the age of Donors, which follow the books behind them.
	DonorsAsOf *time.Time `json:"donors_as_of"`

	GiftsPerMinute float64       `json:"gifts_per_minute"`
	FrontEnds      FrontEndsView `json:"front_ends"`
	Recording      RecordingView `json:"recording"`
	Charging       ChargingView  `json:"charging"`
	Search         *SearchView   `json:"search"`

	DatabaseAway bool `json:"database_away"`
	// BrokerAway: this console does not even hear itself, so what it shows is of before.
	BrokerAway bool          `json:"broker_away"`
	Switches   SwitchesView  `json:"switches"`
	Processes  []ProcessView `json:"processes"`
	// Rehearsals are in none of the figures above but those of the machine.
	Rehearsals []RehearsalView `json:"rehearsals"`
}

// TotalView is the sum over all campaigns of a currency.
type TotalView struct {
	Currency     money.Currency `json:"currency"`
	RaisedMinor  int64          `json:"raised_minor"`
	PledgedMinor int64          `json:"pledged_minor"`
	Donations    int64          `json:"donations"`
}

// FrontEndsView is all front-ends together; ages and quantiles are the worst of them.
type FrontEndsView struct {
	Count             int     `json:"count"`
	AcceptedPerSecond float64 `json:"accepted_per_second"` // rehearsals left out
	// RehearsedPerSecond are accepted beside them.
	RehearsedPerSecond float64            `json:"rehearsed_per_second"`
	RefusedPerSecond   float64            `json:"refused_per_second"`
	Refusals           map[string]float64 `json:"refusals"`
	AckP50MS           float64            `json:"ack_p50_ms"`
	AckP99MS           float64            `json:"ack_p99_ms"`
	Acks               int64              `json:"acks"`
	InFlight           int64              `json:"in_flight"`
	Viewers            int64              `json:"viewers"`
	StaleMS            int64              `json:"stale_ms"`
}

// RecordingView is all ledgers together.
type RecordingView struct {
	Count              int     `json:"count"`
	RecordedPerSecond  float64 `json:"recorded_per_second"`
	RehearsedPerSecond float64 `json:"rehearsed_per_second"`
	LagMessages        int64   `json:"lag_messages"`
	HeldMessages       int64   `json:"held_messages"`
	LagMS              int64   `json:"lag_ms"`
	FramesMS           int64   `json:"frames_ms"` // the oldest word of a ledger about its totals
	Quarantined        int64   `json:"quarantined"`
}

// ChargingView is the queue of charges and those who work it off.
type ChargingView struct {
	Count             int     `json:"count"`
	Due               int64   `json:"due"` // attempts and donations that wait for their turn
	Late              int64   `json:"late"`
	OldestMS          int64   `json:"oldest_due_ms"`
	Unknown           int64   `json:"unknown_outcomes"`
	RequiresAction    int64   `json:"requires_action"`
	ChargesPerSecond  float64 `json:"charges_per_second"`
	CapturesPerSecond float64 `json:"captures_per_second"`
	DeclinesPerSecond float64 `json:"declines_per_second"`
	LimitedPerSecond  float64 `json:"limited_per_second"`
	// PacePerSecond is the pace as it is now, AllowedPerSecond what a person set; null
	// while nobody said.
	PacePerSecond    *float64 `json:"pace_per_second"`
	AllowedPerSecond *float64 `json:"allowed_per_second"`
	Paused           bool     `json:"paused"`
	PausedBy         string   `json:"changed_by,omitempty"` // who paused or set the pace last
	ProcessorAway    bool     `json:"processor_away"`
	Forecast         Forecast `json:"forecast"`
	Stuck            int64    `json:"stuck"`
	SetAside         int64    `json:"set_aside"`
	SecondCharges    int64    `json:"second_charges"`
	Differences      int64    `json:"differences"`
	OffMinor         int64    `json:"off_minor"`
}

// SearchView is how the projection stands that lists and searches read.
type SearchView struct {
	AgeMS  *int64 `json:"age_ms"` // null while it is being made
	Behind int64  `json:"behind"` // messages of donations that it has still to follow
}

// SwitchesView are the switches, true for on.
type SwitchesView struct {
	Leaderboards bool       `json:"leaderboards"`
	Feed         bool       `json:"feed"`
	Live         bool       `json:"live"`
	Exports      bool       `json:"exports"`
	Revision     int64      `json:"revision"`
	ChangedAt    *time.Time `json:"changed_at"`
	ChangedBy    string     `json:"changed_by,omitempty"`
}

// ProcessView is one process.
type ProcessView struct {
	Node      string     `json:"node"`
	Build     string     `json:"build"`
	State     State      `json:"state"`
	StartedAt time.Time  `json:"started_at"`
	HeardMS   int64      `json:"heard_ms"` // since it was heard last
	Roles     []RoleView `json:"roles"`
}

// RoleView is one role of a process, with a line of how it does.
type RoleView struct {
	Name   string `json:"name"`
	Ready  bool   `json:"ready"`
	Reason string `json:"reason,omitempty"`
	Doing  string `json:"doing,omitempty"`
}

// ownSilence is after how long without its own report a console takes the broker as
// away from it.
const ownSilence = status.SilentAfter

// newMoment is the state that a view comes to. giftsPerMinute is the history's.
func newMoment(v *view) *Moment {
	m := &Moment{
		At: v.Now.UTC(), Totals: make([]TotalView, len(v.Sums)), Switches: viewSwitches(v.Switches), DatabaseAway: v.Database.Away,
		Processes: make([]ProcessView, 0, len(v.Processes)), Rehearsals: []RehearsalView{}, BrokerAway: true,
	}
	for i, s := range v.Sums {
		m.Totals[i] = TotalView(s)
	}
	age := campaigns.Age{AsOf: v.AsOf}
	m.LagMS = age.Lag(v.Now).Milliseconds()
	m.Stale = age.Lag(v.Now) > campaigns.StaleBound
	m.AsOf = moment(v.AsOf)
	if v.Wall != nil && v.Wall.AsOf.Unix() > 0 { // while they are being counted it is not known how many they are
		m.Donors, m.DonorsAsOf = &v.Wall.Donors, moment(v.Wall.AsOf)
	}
	m.FrontEnds.Refusals = map[string]float64{}
	for i := range v.Processes {
		p := &v.Processes[i]
		if p.Node == v.Own && v.Now.Sub(p.HeardAt) <= ownSilence {
			m.BrokerAway = false
		}
		if p.Rehearsal != nil {
			m.Rehearsals = append(m.Rehearsals, viewRehearsal(p, v.Now))
			continue // it is no part of the installation
		}
		m.Processes = append(m.Processes, viewProcess(p, v.Now))
		if p.Speaks(v.Now) {
			m.addUp(p.Report)
		}
	}
	m.pace(&v.Database)
	m.Charging.Forecast = forecast(&m.Charging, m.Recording.RecordedPerSecond)
	if m.DatabaseAway {
		m.Charging.Forecast = Forecast{Kind: "away", Text: "The database does not answer: nobody is charged."}
	}
	return m
}

// moment is t in UTC, nil for a zero one.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// addUp adds a process's figures to those of its roles.
func (m *Moment) addUp(r *status.Report) {
	if f, all := r.FrontEnd, &m.FrontEnds; f != nil {
		all.Count++
		all.AcceptedPerSecond += max(0, f.AcceptedPerSecond-f.RehearsedPerSecond)
		all.RehearsedPerSecond += f.RehearsedPerSecond
		for kind, rate := range f.RefusedPerSecond {
			all.Refusals[kind] += rate
			all.RefusedPerSecond += rate
		}
		if f.Acks > 0 {
			all.AckP50MS, all.AckP99MS = max(all.AckP50MS, f.AckP50Millis), max(all.AckP99MS, f.AckP99Millis)
		}
		all.Acks += f.Acks
		all.InFlight += f.InFlight
		all.Viewers += f.Viewers
		all.StaleMS = max(all.StaleMS, f.StaleMillis)
	}
	if l, all := r.Ledger, &m.Recording; l != nil {
		all.Count++
		all.RecordedPerSecond += l.RecordedPerSecond
		all.RehearsedPerSecond += l.RehearsedPerSecond
		// Each ledger tells the same of all together, as of a moment of its own.
		all.LagMessages, all.HeldMessages = max(all.LagMessages, l.LagMessages), max(all.HeldMessages, l.HeldMessages)
		all.LagMS, all.FramesMS = max(all.LagMS, l.LagMillis), max(all.FramesMS, l.CountedMillis)
		all.Quarantined = max(all.Quarantined, l.Quarantined)
	}
	if a := r.Admin; a != nil && a.SearchBehind != nil {
		m.Search = &SearchView{AgeMS: a.SearchMillis, Behind: *a.SearchBehind}
	}
	if p, all := r.Payments, &m.Charging; p != nil {
		all.Count++
		all.ChargesPerSecond += p.ChargesPerSecond
		all.CapturesPerSecond += p.CapturesPerSecond
		all.DeclinesPerSecond += p.DeclinesPerSecond
		all.LimitedPerSecond += p.LimitedPerSecond
		all.Due, all.Late = max(all.Due, p.Due+p.Unexpanded), max(all.Late, p.Late)
		all.OldestMS = max(all.OldestMS, p.OldestMillis)
		all.Unknown, all.RequiresAction = max(all.Unknown, p.Unknown), max(all.RequiresAction, p.RequiresAction)
		if p.PacePerSecond != nil {
			all.PacePerSecond, all.Paused = p.PacePerSecond, *p.PacePerSecond == 0
		}
		all.ProcessorAway = all.ProcessorAway || p.Away
		all.Stuck, all.Differences, all.OffMinor = max(all.Stuck, p.Stuck), max(all.Differences, p.Differences), max(all.OffMinor, p.OffMinor)
		all.SetAside += p.SetAside
		all.SecondCharges += p.SecondCharges
	}
}

// pace puts in what the database says about the pace: it knows of a change at once,
// and of who made it.
func (m *Moment) pace(d *databaseView) {
	if d.Away || len(d.Paces) == 0 {
		return
	}
	c := &m.Charging
	for _, p := range d.Paces {
		if p.Endpoint != d.Endpoint {
			continue
		}
		allowed, now := p.PerSecond, p.Current
		for _, account := range d.Paces { // an account may hold its endpoints back
			if account.Account == p.Account && account.Endpoint == payments.EndpointAll {
				allowed, now = min(allowed, account.PerSecond), min(now, account.Current)
				p.Paused = p.Paused || account.Paused
			}
		}
		if p.Paused {
			now = 0
		}
		c.AllowedPerSecond, c.PacePerSecond, c.Paused, c.PausedBy = &allowed, &now, p.Paused, p.ChangedBy
		return // one account, unless somebody made more by hand
	}
}

func viewSwitches(s campaigns.Switches) SwitchesView {
	return SwitchesView{Leaderboards: !s.LeaderboardsOff, Feed: !s.FeedOff, Live: !s.LiveOff, Exports: !s.ExportsOff,
		Revision: s.Revision, ChangedAt: moment(s.ChangedAt), ChangedBy: s.ChangedBy}
}

func viewProcess(p *Process, now time.Time) ProcessView {
	v := ProcessView{Node: p.Node, Build: p.Build, State: p.StateAt(now), StartedAt: p.StartedAt.UTC(),
		HeardMS: max(0, now.Sub(p.HeardAt).Milliseconds()), Roles: make([]RoleView, len(p.Roles))}
	for i, r := range p.Roles {
		v.Roles[i] = RoleView{Name: r.Name, Ready: r.Ready, Reason: r.Reason, Doing: doing(r.Name, p.Report)}
	}
	return v
}

// point is the moment's point in the history.
func (m *Moment) point() point {
	p := point{
		giftsSeries: m.GiftsPerMinute, acceptedSeries: m.FrontEnds.AcceptedPerSecond, refusedSeries: m.FrontEnds.RefusedPerSecond,
		ackSeries: m.FrontEnds.AckP99MS, lagSeries: float64(m.Recording.LagMS), staleSeries: float64(m.LagMS),
		queueSeries: float64(m.Charging.Due), chargesSeries: m.Charging.ChargesPerSecond, declinesSeries: m.Charging.DeclinesPerSecond,
		viewersSeries: float64(m.FrontEnds.Viewers), raisedSeries: unknown, pledgedSeries: unknown,
	}
	if len(m.Totals) > 0 {
		p[raisedSeries], p[pledgedSeries] = float64(m.Totals[0].RaisedMinor), float64(m.Totals[0].PledgedMinor)
	}
	// What nobody tells is not zero.
	if m.AsOf == nil {
		p[staleSeries] = unknown
	}
	if m.FrontEnds.Count == 0 || m.BrokerAway {
		for _, s := range []int{acceptedSeries, refusedSeries, ackSeries, viewersSeries} {
			p[s] = unknown
		}
	}
	if m.FrontEnds.Acks == 0 {
		p[ackSeries] = unknown
	}
	if m.Recording.Count == 0 {
		p[lagSeries] = unknown
	}
	if m.Charging.Count == 0 {
		p[queueSeries], p[chargesSeries], p[declinesSeries] = unknown, unknown, unknown
	}
	return p
}
