package config

import "time"

// Viewers is the configuration of the measurement of live viewers.
type Viewers struct {
	Viewers int           `default:"10000" help:"Live streams at the same time."`
	Rate    int           `default:"2000" help:"Donations per second while they watch."`
	Pairs   int           `default:"5" help:"Pairs of a stretch without viewers and one with them; a bar is held against their median."`
	For     time.Duration `default:"15s" help:"Length of one stretch."`
	Spread  int           `default:"20" help:"Campaigns that donations and viewers are spread over."`
	Single  bool          `help:"Watch by the stream of one campaign instead of the one that pages use."`
	Data    string        `placeholder:"DIR" type:"path" help:"Data folder of a running 'spillway up' to measure; a private one is started and removed when not given."`
	JSON    string        `name:"json" env:"SPILLWAY_VIEWERS_JSON" placeholder:"FILE" type:"path" help:"Write the report with all pairs to this file."`

	Target   string   `hidden:"" help:"Only watch this front-end, until standard input ends."`
	Campaign []string `hidden:"" help:"Watch these campaigns."`
}
