package main

// rehearseCommand is the rehearsal and what belongs to it.
type rehearseCommand struct {
	Run rehearseRunCommand `cmd:"" default:"withargs" help:"Rehearse; this is what 'spillway rehearse' alone does, and its flags."`
}

// Help is shown by --help.
func (rehearseCommand) Help() string { return rehearseHelp }
