package main

// rehearseCommand is the rehearsal and what belongs to it.
type rehearseCommand struct {
	Run       rehearseRunCommand    `cmd:"" default:"withargs" help:"Rehearse; this is what 'spillway rehearse' alone does, and its flags."`
	Scenarios scenariosCommand      `cmd:"" help:"The ready scenarios, and how to write one's own."`
	Compare   compareCommand        `cmd:"" help:"Two rehearsals side by side: what got worse, and by how much."`
	Capacity  capacityCommand       `cmd:"" help:"Find the highest rate that holds, and hold it against the day that you expect."`
	Remove    rehearseRemoveCommand `cmd:"" help:"Remove everything of rehearsals, and prove that nothing else went."`
	Join      joinCommand           `cmd:"" help:"Send a share of a rehearsal that another machine leads with --generators."`
	Limit     limitCommand          `cmd:"" help:"What this machine can send at most, as a generator."`
	Bare      bareCommand           `cmd:"" hidden:"" help:"A target that only answers, for measuring generators."`
}

// Help is shown by --help.
func (rehearseCommand) Help() string { return rehearseHelp }
