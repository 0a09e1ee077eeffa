package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"spillway/campaigns"
)

var (
	putOrganisationSQL = statement("put_organisation")
	organisationSQL    = statement("organisation")
	organisationsSQL   = statement("organisations")
)

// PutOrganisation makes an organisation, or changes what receipts say of it; its
// campaigns are published anew then. Errors: campaigns.ErrInvalid, ledger.ErrUnavailable.
func (s *Store) PutOrganisation(ctx context.Context, o *campaigns.Organisation) error {
	if err := o.Validate(); err != nil {
		return err
	}
	err := s.locked(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, putOrganisationSQL, o.Name, optional(o.LegalName), optional(o.TaxNumber))
		return err
	})
	return sorted("put organisation", err)
}

// Organisation returns one by its name. Errors: campaigns.ErrUnknown,
// ledger.ErrUnavailable.
func (s *Store) Organisation(ctx context.Context, name string) (*campaigns.Organisation, error) {
	all, err := collect(ctx, s.pool, scanOrganisation, organisationSQL, name)
	if err != nil {
		return nil, sorted("get organisation", err)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("organisation %q: %w", name, campaigns.ErrUnknown)
	}
	return all[0], nil
}

// Organisations returns at most limit organisations whose names follow after, in
// order of name, with text in their name, legal name or tax number, in upper or lower
// case; "" is in all. Errors: ledger.ErrUnavailable.
func (s *Store) Organisations(ctx context.Context, text, after string, limit int) ([]*campaigns.Organisation, error) {
	all, err := collect(ctx, s.pool, scanOrganisation, organisationsSQL, searchable(text), after, limit)
	return all, sorted("list organisations", err)
}

func scanOrganisation(row pgx.CollectableRow) (*campaigns.Organisation, error) {
	var o campaigns.Organisation
	var legalName, taxNumber *string
	if err := row.Scan(&o.Name, &legalName, &taxNumber); err != nil {
		return nil, err
	}
	o.LegalName, o.TaxNumber = given(legalName), given(taxNumber)
	return &o, nil
}
