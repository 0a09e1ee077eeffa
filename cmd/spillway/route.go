package main

import (
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"

	"spillway/deploy/haproxy"
	"spillway/deploy/route"
)

// routeCommand moves campaigns between an older donation system and Spillway.
type routeCommand struct {
	List   routeListCommand   `cmd:"" help:"Where each campaign is."`
	Switch routeSwitchCommand `cmd:"" help:"Move campaigns to Spillway, or back to the older system."`
	Check  routeCheckCommand  `cmd:"" help:"Hold the files, every running proxy and Spillway against each other."`
	Apply  routeApplyCommand  `cmd:"" help:"Make every running proxy go by the files as they are."`
}

// Help is shown by --help.
func (routeCommand) Help() string {
	return `An older donation system and Spillway stand behind one HAProxy (deploy/haproxy/strangler.cfg), and campaigns move one by one, while donors give. Who rendered a page takes its gift, whatever is switched meanwhile.

Examples:
    spillway route list
    spillway route switch river-school --to spillway
    spillway route check`
}

// routeProxies is what the sub-commands have in common.
type routeProxies struct {
	Maps   string   `default:"/etc/haproxy/route" placeholder:"DIR" type:"existingdir" help:"Folder of campaigns.map, links.map and paths.map (${default})."`
	Socket []string `default:"/run/haproxy/admin.sock" placeholder:"PATH" help:"HAProxy's administrators' socket, or host:port of one on TCP; repeat it for every proxy that starts from these files (${default})."`
}

func (c *routeProxies) router(p *process) *route.Router {
	r := &route.Router{Dir: c.Maps, Say: func(format string, args ...any) { fmt.Fprintf(p.stdout, format+"\n", args...) }}
	for _, address := range c.Socket {
		r.Proxies = append(r.Proxies, haproxy.Socket{Address: address})
	}
	return r
}

// routeListCommand shows the file.
type routeListCommand struct {
	Maps string `default:"/etc/haproxy/route" placeholder:"DIR" type:"existingdir" help:"Folder of campaigns.map (${default})."`
}

// Help is shown by --help.
func (routeListCommand) Help() string {
	return `Campaigns that are not listed have not been moved: they are the older system's.

Example:
    spillway route list | grep -c spillway`
}

// Run lists.
func (c *routeListCommand) Run(p *process) error {
	all, err := (&route.Router{Dir: c.Maps}).List()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	for _, campaign := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\n", campaign.Slug, campaign.Side, campaign.Page)
	}
	return w.Flush()
}

// routeSwitchCommand moves campaigns.
type routeSwitchCommand struct {
	routeProxies
	Slugs    []string `arg:"" optional:"" name:"slug" help:"Campaigns to move."`
	To       string   `required:"" enum:"spillway,old" placeholder:"SIDE" help:"spillway or old."`
	From     string   `placeholder:"FILE" type:"existingfile" help:"Campaigns to move, from a spreadsheet (.csv or .xlsx) with a column 'slug', and 'page' for their older pages."`
	Page     []string `sep:"none" placeholder:"PATH" help:"Page of the campaign at the older system, such as /give/river-school, when links.map does not have it; for one campaign."`
	Target   string   `default:"http://127.0.0.1:8080" placeholder:"URL" help:"A front-end of Spillway itself, asked whether it shows the campaigns (${default})."`
	AnyPhase bool     `help:"Move campaigns to Spillway that it takes no gifts for yet, or any more."`
	DryRun   bool     `help:"Look at everything and change nothing."`
}

// Help is shown by --help.
func (routeSwitchCommand) Help() string {
	return `All campaigns are moved or none. Before that: Spillway shows each of them, or the older system is up and a page of it there is known, and nothing else differs between files and proxies. Then the files are written, which a proxy starts from, and every running proxy is told at one moment for all campaigns, and read back. Whatever dies in the middle, the same command completes it.

From then on older pages of the campaigns lead to Spillway's, and the other way round, for everybody who did not have the page open within the last two hours. Gifts go to whoever rendered the page.

Exit status: 0 when every proxy follows; 2 when nothing was changed, with every reason; 1 when the files are written and a proxy does not follow.

Examples:
    spillway route switch river-school bridge --to spillway
    spillway route switch river-school --to old
    spillway route switch --from campaigns.csv --to spillway --dry-run
    spillway route switch bridge --to spillway --page /give/bridge --socket /run/haproxy/a.sock --socket /run/haproxy/b.sock`
}

// Run switches.
func (c *routeSwitchCommand) Run(p *process) error {
	moves, err := c.moves()
	if err != nil {
		return c.refused(p, err)
	}
	r := c.router(p)
	r.Spillway, r.AnyPhase = route.FrontEnd{URL: c.Target}, c.AnyPhase
	done, err := r.Switch(p.ctx, moves, route.Side(c.To), c.DryRun)
	if err != nil && !errors.Is(err, route.ErrUnfinished) {
		return c.refused(p, err)
	}
	c.tell(p, done, err == nil)
	return err
}

// moves are the campaigns of the command line and of the spreadsheet.
func (c *routeSwitchCommand) moves() ([]route.Move, error) {
	var moves []route.Move
	for _, slug := range c.Slugs {
		moves = append(moves, route.Move{Slug: slug, Pages: c.Page})
	}
	if c.From != "" {
		more, err := routeSheet(c.From)
		if err != nil {
			return nil, err
		}
		moves = append(moves, more...)
	}
	if len(c.Page) > 0 && len(moves) != 1 {
		return nil, errors.New("--page is of one campaign: with several, write them into a spreadsheet for --from")
	}
	return moves, nil
}

func (c *routeSwitchCommand) refused(p *process, err error) error {
	fmt.Fprintf(p.stderr, "spillway route switch: %v\n", err)
	return exitStatus(exitUsage)
}

// toldMost is how many campaigns are named one by one.
const toldMost = 50

func (c *routeSwitchCommand) tell(p *process, done route.Outcome, everywhere bool) {
	verb, places := "is now at", "so it is in the files and in every proxy"
	switch {
	case c.DryRun:
		verb, places = "would be at", "this was a dry run"
	case !everywhere:
		verb, places = "is to be at", "so it is in the files"
	}
	for _, campaign := range done.Moved[:min(len(done.Moved), toldMost)] {
		page := ""
		if campaign.Page != "" {
			page = ", older page " + campaign.Page
		}
		fmt.Fprintf(p.stdout, "%s %s %s%s\n", campaign.Slug, verb, campaign.Side, page)
	}
	for _, slug := range done.Unlinked[:min(len(done.Unlinked), toldMost)] {
		if !slices.Contains(done.Already, slug) {
			fmt.Fprintf(p.stdout, "%s: no older page leads to it (--page, links.map): donors with old links stay at the older system\n", slug)
		}
	}
	fmt.Fprintf(p.stdout, "%d moved, %d were there already: %s\n", len(done.Moved), len(done.Already), places)
}

// routeCheckCommand compares.
type routeCheckCommand struct {
	routeProxies
	Target string `placeholder:"URL" help:"A front-end of Spillway itself, asked whether it knows the campaigns that are there; nobody is asked without it."`
}

// Help is shown by --help.
func (routeCheckCommand) Help() string {
	return `Changes nothing. Exit status: 0 when all agree, 1 when something does not, and it is named.

Example:
    spillway route check --target http://10.0.0.11:8080`
}

// Run checks.
func (c *routeCheckCommand) Run(p *process) error {
	r := c.router(p)
	if c.Target != "" {
		r.Spillway = route.FrontEnd{URL: c.Target}
	}
	faults, err := r.Check(p.ctx)
	if err != nil {
		return err
	}
	for _, fault := range faults {
		fmt.Fprintln(p.stdout, fault)
	}
	if len(faults) > 0 {
		fmt.Fprintln(p.stdout, "'spillway route apply' makes proxies go by the files")
		return exitStatus(exitFailed)
	}
	fmt.Fprintf(p.stdout, "the files and every running proxy agree (%d asked)\n", len(c.Socket))
	return nil
}

// routeApplyCommand makes proxies follow.
type routeApplyCommand struct{ routeProxies }

// Help is shown by --help.
func (routeApplyCommand) Help() string {
	return `For files that were edited by hand (links.map, paths.map), and for a proxy that was told by hand. It moves what differs: 'spillway route check' shows that beforehand.

Example:
    spillway route check || spillway route apply`
}

// Run applies.
func (c *routeApplyCommand) Run(p *process) error {
	mended, err := c.router(p).Apply(p.ctx)
	if err != nil {
		return err
	}
	for _, address := range c.Socket {
		fmt.Fprintf(p.stdout, "%s goes by the files; %d entries were otherwise\n", address, mended[address])
	}
	return nil
}
