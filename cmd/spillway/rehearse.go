package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"spillway/cmd/spillway/internal/config"
	"spillway/deploy/onebox"
	"spillway/loadtest"
	"spillway/loadtest/gift"
	"spillway/loadtest/record"
	reportpage "spillway/loadtest/report"
	"spillway/loadtest/visit"
)

// rehearseRunCommand replays a giving day and proves the outcome.
type rehearseRunCommand struct {
	Scenario string `placeholder:"NAME|FILE" help:"A ready scenario ('spillway rehearse scenarios' lists them) or a YAML file. Flags beside it win over it. 'quick' when nothing at all is said."`

	Replay    string        `placeholder:"FILE" type:"path" help:"Recorded event to replay: CSV or CSV.gz with offset_ms,campaign,amount_minor,currency."`
	Speed     float64       `default:"1" help:"How many times faster than it was to replay the event."`
	Copies    int           `default:"1" help:"Send every row this many times in the same moment, each under a key of its own."`
	Donors    float64       `default:"1" placeholder:"N" help:"How many times as many donors give as in the recorded event, such as 10, 2.5 or 0.1: each at a moment of their own soon after it."`
	Gifts     int64         `placeholder:"N" help:"In place of a file: a synthetic giving day of N gifts, with its opening, bursts and deadline."`
	Rate      float64       `placeholder:"R" help:"In place of a file: R gifts per second, evenly."`
	Shape     string        `enum:",step,ramp,spike,soak" default:"" placeholder:"SHAPE" help:"How --rate comes: step by step to it (step), rising to it (ramp), a tenth of it but for the middle (spike), all the time (soak)."`
	For       time.Duration `placeholder:"D" help:"How long the synthetic load lasts."`
	Campaigns int           `default:"500" help:"Campaigns of the synthetic giving day; the first gets the most. 1 sends every gift to one."`
	Hot       percent       `placeholder:"PERCENT" help:"Gifts that go to the campaign with the most, instead of their own."`
	Baskets   percent       `placeholder:"PERCENT" help:"Gifts that are divided among two or three campaigns."`

	Target string `placeholder:"URL" help:"Front-end, or the proxy before many; the running 'spillway up' of --data when not given."`
	Data   string `placeholder:"DIR" type:"path" help:"Data folder of a running 'spillway up', for the audit and as the target. Without it and without a target a private one is started and removed afterwards."`
	config.Broker
	config.Database
	config.SecretsFile

	RunName        string        `name:"run" env:"SPILLWAY_RUN" placeholder:"NAME" help:"Name of the run. The same name over the same rows sends the same keys, so it adds nothing."`
	Resume         bool          `help:"Go on with a run whose generator was stopped or killed; needs --run or --record."`
	Record         string        `placeholder:"FILE" type:"path" help:"The run's record of every attempt and answer; a folder for one per run. In the data folder when not given."`
	JSON           string        `name:"json" env:"SPILLWAY_REHEARSE_JSON" placeholder:"FILE" type:"path" help:"Write the whole report to this file."`
	HTML           string        `name:"html" env:"SPILLWAY_REHEARSE_HTML" placeholder:"FILE" type:"path" help:"Write the report as a page, whole in itself, to this file; a folder for one per run. When not given: beside the record, or, of a private installation, in the user's cache folder, with the JSON beside it; the last line says where."`
	Connections    int           `default:"256" help:"Connections to the target; when all are busy requests wait, and the waiting counts."`
	Patience       time.Duration `default:"2m" help:"How long a gift without a definite answer is sent again."`
	Timeout        time.Duration `name:"request-timeout" default:"10s" help:"When the answer to one attempt counts as unknown."`
	Drain          time.Duration `default:"2m" help:"How long totals may stand still after the last answer before the wait for them is given up."`
	Watchers       int           `default:"8" help:"Readers of live totals beside the gifts, half polling, half streaming."`
	Readers        float64       `placeholder:"N" help:"Readers who come for each gift, look at pages, hold streams or poll, and give nothing; up to 100."`
	Look           percent       `placeholder:"PERCENT" help:"Donors who look at the campaign's page before they give, and watch afterwards."`
	Charging       string        `default:"auto" enum:"auto,on,off" placeholder:"WHEN" help:"on: have every gift charged by the simulated processor, wait for the end of it, and judge the money; off: do not wait (a private installation then does not charge at all); auto: on for a private installation."`
	Pace           int           `default:"250" placeholder:"N" help:"Charges per second of a private installation, and the limit of its simulated processor (${default}). Stripe's default is 25."`
	ChargePatience time.Duration `default:"5m" help:"How long nothing may be charged or fail before the wait is given up."`
	Declines       percent       `placeholder:"PERCENT" help:"Cards that are declined, such as 5%."`
	ThreeDS        percent       `name:"three-ds" placeholder:"PERCENT" help:"Donors who are asked for 3-D Secure; the rehearsal plays them: most do, some fail, some leave."`
	Timeouts       percent       `placeholder:"PERCENT" help:"Charges that are carried out and never answered."`
	Storms         storms        `placeholder:"FOR/EVERY" help:"Half of all calls are refused by 429 for a while again and again, such as 3s/30s."`
	Webhooks       webhookFaults `placeholder:"FAULTS" help:"What happens to webhooks, such as lost=3%,twice=5%,late=10%."`

	Logs []string `sep:"none" placeholder:"FILE" type:"path" help:"A log of the installation's processes, or a pattern of several such as '/var/log/spillway/*.log': the proof searches them for personal data, card numbers and secrets. May be given several times. A private installation's own are always searched."`

	breakFlags
	fleetFlags

	NoProbes bool `help:"Send nothing but the rows: no repeats, conflicts, refusals, nor gifts at the edges of opening hours."`

	given      map[string]bool // flags, by name
	scenario   string          // its name, when there is one
	reportSaid string          // what the last line says
	visits     visit.Habits    // as the scenario says, Readers and Look apart
}

// Help is shown by --help.
func (rehearseRunCommand) Help() string { return rehearseHelp + "\n" + breakHelp }

const rehearseHelp = `Sends the gifts of a recorded or synthetic giving day over HTTP at their planned times, whatever the answers do; keeps a record of every attempt before it leaves; sends unknown answers again with the same key; waits until everything acknowledged is shown; has everything charged by the simulated processor, with the faults that were asked for; and then holds the record against the ledger, the totals, what watchers read, and the processor's own books against the journal. Its campaigns are marked as rehearsal and live in tables of their own.

Exit status: 0 when the proof holds, 1 when it does not, 2 when the rehearsal could not be made. Ctrl-C stops the sending, drains and audits what was sent; twice stops at once, and --resume goes on.

Examples:
    spillway rehearse
    spillway rehearse scenarios
    spillway rehearse --scenario evening-broadcast --rate 2000
    spillway rehearse --gifts 50000 --for 5m
    spillway rehearse --rate 500 --for 30s
    spillway rehearse --rate 2000 --shape ramp --for 2m
    spillway rehearse --gifts 50000 --for 5m --hot 40% --baskets 20% --seed 2
    spillway rehearse --replay agdq2017-gifts.csv.gz --speed 700 --donors 10
    spillway rehearse --replay agdq2017-gifts.csv.gz --speed 6742
    spillway rehearse --replay agdq2017-gifts.csv.gz --speed 8000 --pace 250 --declines 5% --three-ds 2% --timeouts 1% \
        --storms 3s/30s --webhooks lost=3%,twice=5%,late=10%
    spillway rehearse --rate 250 --for 1m --pace 25 --html friday.html --json friday.json
    spillway rehearse --rate 5000 --for 1m --charging off
    spillway rehearse --rate 40000 --for 1m --generators 3 --data /srv/giving-day   # and twice, elsewhere: spillway rehearse join
    spillway rehearse --replay gifts.csv.gz --speed 1000 --data /srv/giving-day --run friday
    spillway rehearse --replay gifts.csv.gz --speed 1000 --data /srv/giving-day --run friday --resume
    spillway rehearse --rate 5000 --for 10m --campaigns 1 --target https://give.example.org --secrets secrets.json \
        --nats-url nats://spillway:password@broker:4222 --database-url postgres://spillway:password@db/spillway`

// Run rehearses; see Help for the exit status.
func (c *rehearseRunCommand) Run(p *process) error {
	report, err := c.rehearse(p)
	c.sayReport(p)
	if err != nil {
		fmt.Fprintf(p.stderr, "spillway rehearse: %v\n", err)
		return exitStatus(exitUsage)
	}
	if !report.Holds {
		return exitStatus(exitFailed)
	}
	return nil
}

func (c *rehearseRunCommand) rehearse(p *process) (report *loadtest.Report, err error) {
	if err := c.setUp(); err != nil {
		return nil, err
	}
	if err := c.name(); err != nil {
		return nil, err
	}
	breaks, err := c.breaks() // first: its seed draws the day too
	if err != nil {
		return nil, err
	}
	source, speed, err := c.source()
	if err != nil {
		return nil, err
	}
	if err := c.fits(); err != nil {
		return nil, err
	}
	// Ctrl-C ends the sending; draining and the audit go on.
	ctx, stop := context.WithoutCancel(p.ctx), p.ctx.Done()
	screen := newScreen(p.stderr)
	defer screen.end()

	at := &place{command: c, log: p.log}
	defer at.close()
	own := &rigged{}
	if breaks {
		at.alone = true
		if own, err = c.startRig(p, screen, at, source); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, own.end(report != nil && report.Holds)) }()
	} else if c.Target == "" && c.Data == "" && c.DatabaseURL == "" {
		at.alone = true
		private, err := startPrivate(p, screen, c.privateArgs()...)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, private.end(report != nil && report.Holds)) }()
		at.data, at.written = private.data, private.logs
	} else if err := at.choose(); err != nil {
		return nil, err
	}
	where, err := at.find()
	if err != nil {
		return nil, err
	}
	keys, err := readSecrets(where.secrets)
	if err != nil {
		return nil, fmt.Errorf("the rehearsal's credential: %w", err)
	}
	store, err := at.campaigns()
	if err != nil {
		return nil, err
	}
	defer store.Close()

	led, err := c.lead(p, screen, at, source, orders{run: c.RunName, target: where.target, credential: keys.RehearsalCredential(), speed: speed})
	if err != nil {
		return nil, err
	}
	defer func() { led.end(err) }()

	till, err := c.till(at)
	if err != nil {
		return nil, err
	}
	defer till.close()
	setting := c.setting(ctx, p, at)
	consoles := c.tellConsoles(ctx, p, at, source.Rows())
	defer func() { consoles.end(report) }()
	show := func(now loadtest.Progress) {
		screen.show(now)
		consoles.show(now)
	}
	report, err = loadtest.Run(ctx, stop, loadtest.Config{
		Run: c.RunName, Source: source, Copies: copies(source), Speed: speed, Target: where.target, Credential: keys.RehearsalCredential(),
		Record: c.recordPath(at.data), Resume: c.Resume, Connections: c.Connections, Timeout: c.Timeout, Patience: c.Patience,
		Drain: c.Drain, Watchers: c.Watchers, Probes: !c.NoProbes, Charging: till.asked,
		Visits: c.visitors(), Scenario: c.scenario, Share: led.share(), Limit: led.limit, Busiest: led.busiest,
	}, loadtest.Deps{Campaigns: store, View: at.view, Count: at.count, Keys: keys, Backlog: at.backlog(), Roles: at.roles, Operators: at.operators(), Show: show, Log: p.log, Break: own.play, Fleet: led.fleet(), Logs: at.logs, Secrets: at.secrets(keys.RehearsalCredential()),
		Till: till.counts, Donors: till.donors, Simulator: till.simulator})
	at.close()
	if err != nil {
		return nil, err
	}
	report.Setting = setting
	screen.end()
	return report, c.tell(p, at, report)
}

// tell prints the report, and writes it where it goes.
func (c *rehearseRunCommand) tell(p *process, at *place, report *loadtest.Report) (err error) {
	c.reportSaid, err = c.files(at).write(report, func(w io.Writer) error { return reportpage.Write(w, report) }, c.JSON, p.log)
	return errors.Join(err, report.WriteTable(p.stdout), reportpage.WriteShort(p.stdout, report))
}

// name sees to the run's name: given, that of the record to resume, or new.
func (c *rehearseRunCommand) name() error {
	switch {
	case c.RunName != "":
		return nil
	case !c.Resume:
		var chance [2]byte
		_, _ = rand.Read(chance[:]) // cannot fail (crypto/rand)
		c.RunName = time.Now().UTC().Format("20060102-150405-") + hex.EncodeToString(chance[:])
		return nil
	case c.Record != "":
		header, _, err := record.Scan(c.Record, record.Visitor{})
		if err != nil {
			return fmt.Errorf("--resume: %w", err)
		}
		c.RunName = header.Run
		return nil
	}
	text := "--resume needs --run NAME or --record FILE"
	if c.Data != "" {
		found, _ := filepath.Glob(filepath.Join(c.Data, recordsFolder, "*"+recordSuffix)) // the pattern is well-formed
		for i := range found {
			found[i] = strings.TrimSuffix(filepath.Base(found[i]), recordSuffix)
		}
		if len(found) > 0 {
			text += "; runs there: " + strings.Join(found, ", ")
		}
	}
	return errors.New(text)
}

// Where records are kept when nobody says where.
const (
	recordsFolder = "rehearsals"
	recordSuffix  = ".record"
)

// recordPath is where the run's record is; data is "" without a data folder.
func (c *rehearseRunCommand) recordPath(data string) string {
	name := c.RunName + recordSuffix
	if _, err := gift.NewRun(c.RunName, "", [32]byte{}); err != nil {
		name = "refused" // by the rehearsal, before it is created
	}
	switch info, err := os.Stat(c.Record); {
	case c.Record != "" && (err == nil && info.IsDir() || strings.HasSuffix(c.Record, string(filepath.Separator))):
		return filepath.Join(c.Record, name)
	case c.Record != "":
		return c.Record
	case data != "":
		return filepath.Join(data, recordsFolder, name)
	}
	return filepath.Join(filepath.Dir(config.DataDefault()), "spillway-"+recordsFolder, name)
}

var errNoPlace = errors.New("the audit needs to know where the installation is: --data DIR of a running 'spillway up', or --database-url with --nats-url and --secrets")

// choose says which data folder is meant, if any.
func (a *place) choose() error {
	c := a.command
	switch {
	case c.Data != "":
		a.data = c.Data
	case c.DatabaseURL == "":
		// A target alone: the data folder that `up` uses by itself, if it runs there.
		if _, err := onebox.ReadRun(config.DataDefault()); err != nil {
			return errNoPlace
		}
		a.data = config.DataDefault()
	case c.Target == "":
		return errors.New("--database-url needs --target URL beside it")
	case c.Secrets == "":
		return errors.New("--database-url needs --secrets FILE beside it: the rehearsal's credential is in there")
	}
	return nil
}
