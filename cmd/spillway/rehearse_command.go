package main

// rehearseCommand is the rehearsal and what belongs to it.
type rehearseCommand struct {
	Run       rehearseRunCommand    `cmd:"" default:"withargs" help:"Rehearse; this is what 'spillway rehearse' alone does, and its flags."`
	Scenarios scenariosCommand      `cmd:"" help:"The ready scenarios, and how to write one's own."`
	Compare   compareCommand        `cmd:"" help:"Two rehearsals side by side: what got worse, and by how much."`
	Capacity  capacityCommand       `cmd:"" help:"Find the highest rate that holds, and hold it against the day that you expect."`
	Remove    rehearseRemoveCommand `cmd:"" help:"Remove everything of rehearsals, and prove that nothing else went."`
}

// Help is shown by --help.
func (rehearseCommand) Help() string { return rehearseHelp }
