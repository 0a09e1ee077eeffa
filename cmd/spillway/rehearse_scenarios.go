package main

import (
	"fmt"
	"text/tabwriter"

	"spillway/loadtest/scenario"
)

// scenariosCommand looks at scenarios without rehearsing.
type scenariosCommand struct {
	List   scenariosListCommand   `cmd:"" default:"1" help:"List the ready ones; this is what 'spillway rehearse scenarios' alone does."`
	Show   scenariosShowCommand   `cmd:"" help:"Print a ready one's file, to start one's own from."`
	Check  scenariosCheckCommand  `cmd:"" help:"Read a file as a rehearsal would, and say what is wrong with it."`
	Schema scenariosSchemaCommand `cmd:"" help:"Print the JSON schema of the files, for editors and pipelines."`
}

const scenariosHelp = `A scenario is a YAML file: when gifts come, who looks on, how they are charged, what goes wrong, what has to hold. A key that is not known is refused; what is not in the file is as the flags' defaults; a flag beside --scenario wins over the file.

Examples:
    spillway rehearse scenarios
    spillway rehearse --scenario quick
    spillway rehearse --scenario reader-storm --rate 20
    spillway rehearse scenarios show evening-broadcast > ours.yaml
    spillway rehearse scenarios check ours.yaml
    spillway rehearse --scenario ours.yaml
    spillway rehearse scenarios schema > scenario.schema.json`

// Help is shown by --help.
func (scenariosCommand) Help() string { return scenariosHelp }

type scenariosListCommand struct{}

// Help is shown by --help.
func (scenariosListCommand) Help() string { return scenariosHelp }

// Run lists the ready scenarios.
func (scenariosListCommand) Run(p *process) error {
	t := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	for _, name := range scenario.Names() {
		s, err := scenario.Ready(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(t, "%s\t%s\n", s.Name, s.Description)
	}
	return t.Flush()
}

type scenariosShowCommand struct {
	Name string `arg:"" help:"Name of a ready scenario."`
}

// Run prints one.
func (c *scenariosShowCommand) Run(p *process) error {
	text, err := scenario.Text(c.Name)
	if err != nil {
		return err
	}
	_, err = p.stdout.Write(text)
	return err
}

type scenariosCheckCommand struct {
	File string `arg:"" help:"A scenario's file, or the name of a ready one."`
}

// Run reads one as a rehearsal would.
func (c *scenariosCheckCommand) Run(p *process) error {
	s, err := scenario.Load(c.File)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "%s can be rehearsed: spillway rehearse --scenario %s\n", s.Name, c.File)
	return err
}

type scenariosSchemaCommand struct{}

// Run prints the schema.
func (scenariosSchemaCommand) Run(p *process) error {
	_, err := p.stdout.Write(scenario.Schema())
	return err
}
