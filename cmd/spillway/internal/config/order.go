package config

import "time"

// Order is what the commands have in common by which a person moves money. Who asks
// and why stands in the books for ever, so nothing of it comes from the environment.
type Order struct {
	Place
	Actor  string        `required:"" env:"-" placeholder:"NAME" help:"Who asks, for the books: a name that people know you by."`
	Reason string        `required:"" env:"-" placeholder:"TEXT" help:"Why, for the books: a sentence. No personal data of donors."`
	NoWait bool          `env:"-" help:"Return once the command is stored, which is a promise that it will be carried out, or refused."`
	Wait   time.Duration `env:"-" default:"2m" placeholder:"TIME" help:"How long to wait for the outcome (${default})."`
}

// Place is an installation, as people's commands find it: a running 'spillway up', or
// servers by name.
type Place struct {
	Data string `default:"${data_default}" placeholder:"DIR" type:"path" help:"Data folder of a running 'spillway up' (${default}); not used with --database-url."`
	Broker
	Database
	Replicas int `default:"1" enum:"1,3,5" help:"Copies that the broker keeps of every stream."`
}
