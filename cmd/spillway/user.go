package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"spillway/campaigns"
	"spillway/campaigns/access"
	"spillway/campaigns/access/credential"
	accessdb "spillway/campaigns/access/postgres"
	"spillway/cmd/spillway/internal/config"
	"spillway/deploy/onebox"
)

// userCommand looks after the console's users from the machine itself: the way in
// when nobody can sign in.
type userCommand struct {
	Add       userAddCommand       `cmd:"" help:"Let somebody in: prints a one-time link by which they choose a password."`
	List      userListCommand      `cmd:"" help:"Show who may sign in."`
	Link      userLinkCommand      `cmd:"" help:"Print a one-time link for a new password; the password works on until it is used, earlier links do not."`
	Reset     userResetCommand     `cmd:"" name:"reset-password" help:"Sign a user out everywhere, make the password useless, and print a one-time link for a new one."`
	ResetTOTP userResetTOTPCommand `cmd:"" name:"reset-totp" help:"Take a user's second factor away, and sign them out everywhere."`
	Disable   userDisableCommand   `cmd:"" help:"Shut a user out, and sign them out everywhere."`
	Enable    userEnableCommand    `cmd:"" help:"Let a user in again who was shut out."`
}

// userTimeout bounds one command: a few statements.
const userTimeout = 15 * time.Second

// userLinkLife is how long a link works that was made here: a weekend.
const userLinkLife = 72 * time.Hour

// desk is where users are looked after.
type desk struct {
	ctx   context.Context
	store *accessdb.Store
	out   io.Writer
	link  string // what stands before a link's token
}

// withUsers finds the database and works there.
func withUsers(p *process, at config.Users, work func(*desk) error) error {
	database, consoleURL := at.DatabaseURL.Reveal(), at.ConsoleURL
	if database == "" {
		run, err := onebox.ReadRun(at.Data)
		if err != nil {
			return fmt.Errorf("%w; name its database with --database-url", err)
		}
		database = run.DatabaseURL
		if consoleURL == "" {
			consoleURL = strings.TrimSuffix(run.ConsoleURL, "/admin")
		}
	}
	if consoleURL != "" {
		u, err := url.Parse(consoleURL)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return fmt.Errorf("--console-url %q is no address such as https://console.example.org", consoleURL)
		}
	}
	store, err := accessdb.Open(accessdb.Config{URL: database, Application: "spillway user"})
	if err != nil {
		return err
	}
	defer store.Close()
	ctx, cancel := context.WithTimeout(p.ctx, userTimeout)
	defer cancel()
	return work(&desk{ctx: ctx, store: store, out: p.stdout, link: strings.TrimSuffix(consoleURL, "/") + "/admin/link/"})
}

// by is what the audit log says of a change made here.
func by(action, subject, detail string) access.Entry {
	return access.Entry{Name: operatorName(), Action: action, Subject: subject, Detail: detail}
}

// find looks a user up by e-mail address.
func (d *desk) find(typed string) (access.User, error) {
	email, ok := access.CanonicalEmail(typed)
	if !ok {
		return access.User{}, fmt.Errorf("%q is no e-mail address", typed)
	}
	u, err := d.store.UserByEmail(d.ctx, email)
	if errors.Is(err, access.ErrUnknown) {
		return u, fmt.Errorf("there is no user %s; 'spillway user list' shows who is there", email)
	}
	return u, err
}

// tellLink makes a one-time link for a user and prints it.
func (d *desk) tellLink(u access.User) error {
	token, sum := credential.NewToken()
	if err := d.store.AddLink(d.ctx, sum, u.ID, time.Now().Add(userLinkLife), by("user.link", u.Email, "one-time link made on the command line")); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "One-time link for %s, for %v:\n%s\n", u.Email, userLinkLife, d.link+token)
	return nil
}

type userAddCommand struct {
	config.Users
	Email     string   `required:"" env:"-" placeholder:"ADDRESS" help:"Their e-mail address."`
	Role      string   `required:"" env:"-" enum:"owner,organiser,finance,viewer" placeholder:"ROLE" help:"What they may do: owner, organiser, finance or viewer."`
	Campaigns []string `env:"-" placeholder:"SLUG,..." help:"Bind them to these campaigns; all when not given."`
}

// Run adds a user.
func (c *userAddCommand) Run(p *process) error {
	email, ok := access.CanonicalEmail(c.Email)
	if !ok {
		return fmt.Errorf("%q is no e-mail address", c.Email)
	}
	role := access.Role(c.Role)
	if role == access.Owner && len(c.Campaigns) > 0 {
		return errors.New("an owner reaches all campaigns")
	}
	if err := access.CheckGrants(c.Campaigns, campaigns.ValidSlug); err != nil {
		return err
	}
	u := access.User{ID: credential.NewID(16), Email: email, Role: role}
	detail := c.Role + ", all campaigns"
	if len(c.Campaigns) > 0 {
		u.Campaigns = c.Campaigns
		detail = c.Role + ", campaigns " + strings.Join(c.Campaigns, ", ")
	}
	return withUsers(p, c.Users, func(d *desk) error {
		if err := d.store.AddUser(d.ctx, u, by("user.add", email, detail)); err != nil {
			return err
		}
		return d.tellLink(u)
	})
}

type userListCommand struct{ config.Users }

// usersAtOnce is how many users are asked for together.
const usersAtOnce = 200

// Run lists users.
func (c *userListCommand) Run(p *process) error {
	return withUsers(p, c.Users, func(d *desk) error {
		table := tabwriter.NewWriter(d.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "E-MAIL\tROLE\tREACHES\tTOTP\tSTATE\tLAST SIGNED IN")
		for after := ""; ; {
			some, err := d.store.Users(d.ctx, after, usersAtOnce)
			if err != nil {
				return err
			}
			for _, u := range some {
				after = u.Email
				reach, totp, state, seen := "all", "no", "active", "never"
				if u.Campaigns != nil {
					reach = strings.Join(u.Campaigns, ",")
				}
				if u.TOTP {
					totp = "yes"
				}
				switch {
				case !u.DisabledAt.IsZero():
					state = "shut out"
				case !u.HasPassword:
					state = "invited"
				}
				if !u.SeenAt.IsZero() {
					seen = u.SeenAt.Format(time.DateTime) + " UTC"
				}
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", u.Email, u.Role, reach, totp, state, seen)
			}
			if len(some) < usersAtOnce {
				return table.Flush()
			}
		}
	})
}

// oneUser is what the commands about one user have in common.
type oneUser struct {
	config.Users
	Email string `arg:"" help:"The user's e-mail address."`
}

// Run with the user that the arguments name.
func (c oneUser) with(p *process, work func(*desk, access.User) error) error {
	return withUsers(p, c.Users, func(d *desk) error {
		u, err := d.find(c.Email)
		if err != nil {
			return err
		}
		return work(d, u)
	})
}

type userLinkCommand struct{ oneUser }

// Run prints a one-time link.
func (c *userLinkCommand) Run(p *process) error {
	return c.with(p, func(d *desk, u access.User) error {
		if !u.DisabledAt.IsZero() {
			return fmt.Errorf("%s is shut out: 'spillway user enable' first", u.Email)
		}
		return d.tellLink(u)
	})
}

type userResetCommand struct{ oneUser }

// Run makes the password useless and prints a link.
func (c *userResetCommand) Run(p *process) error {
	return c.with(p, func(d *desk, u access.User) error {
		// A password that nobody knows, rather than none: the last owner stays one.
		unknown, _ := credential.NewToken()
		phc, err := credential.NewHasher(credential.DefaultParams).Hash(d.ctx, unknown)
		if err != nil {
			return err
		}
		if err := d.store.SetPassword(d.ctx, u.ID, phc, "", by("user.password", u.Email, "made useless on the command line; all sessions ended")); err != nil {
			return err
		}
		return d.tellLink(u)
	})
}

type userResetTOTPCommand struct{ oneUser }

// Run takes the second factor away.
func (c *userResetTOTPCommand) Run(p *process) error {
	return c.with(p, func(d *desk, u access.User) error {
		if err := d.store.SetFactor(d.ctx, u.ID, nil, 0, nil, "", by("user.totp_reset", u.Email, "on the command line; all sessions ended")); err != nil {
			return err
		}
		fmt.Fprintf(d.out, "%s signs in without a second factor now, and was signed out everywhere.\n", u.Email)
		return nil
	})
}

type userDisableCommand struct{ oneUser }

// Run shuts a user out.
func (c *userDisableCommand) Run(p *process) error {
	return c.with(p, func(d *desk, u access.User) error {
		if err := d.store.SetDisabled(d.ctx, u.ID, true, by("user.disable", u.Email, "on the command line; all sessions and links ended")); err != nil {
			return err
		}
		fmt.Fprintf(d.out, "%s is shut out, and was signed out everywhere.\n", u.Email)
		return nil
	})
}

type userEnableCommand struct{ oneUser }

// Run lets a user in again.
func (c *userEnableCommand) Run(p *process) error {
	return c.with(p, func(d *desk, u access.User) error {
		if err := d.store.SetDisabled(d.ctx, u.ID, false, by("user.enable", u.Email, "on the command line")); err != nil {
			return err
		}
		fmt.Fprintf(d.out, "%s may sign in again.\n", u.Email)
		return nil
	})
}
