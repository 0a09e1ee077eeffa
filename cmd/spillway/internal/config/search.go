package config

// Search is where the commands about the projection find its database.
type Search struct {
	Data string `default:"${data_default}" placeholder:"DIR" type:"path" help:"Data folder of a running 'spillway up' (${default}); not used with --database-url."`
	Database
}
