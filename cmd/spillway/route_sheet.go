package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"spillway/campaigns/console/manage/sheet"
	"spillway/deploy/route"
)

// routeColumns are what a list of campaigns to move has.
var routeColumns = []sheet.Column{
	{Key: "slug", Title: "Slug", Names: []string{"campaign"}, Required: true},
	{Key: "page", Title: "Page", Names: []string{"older page", "old page", "path", "link"}},
}

// routeSheet reads campaigns and their older pages, several of one campaign in rows of
// their own.
func routeSheet(path string) ([]route.Move, error) {
	is, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if is.Size() > sheet.FileBytesMax {
		return nil, fmt.Errorf("%s: larger than %d MiB", path, sheet.FileBytesMax>>20)
	}
	data, err := os.ReadFile(path) //nolint:gosec // named by the operator
	if err != nil {
		return nil, err
	}
	table, err := sheet.Read(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	reading, faults := sheet.Match(table, routeColumns)
	if len(faults) > 0 {
		return nil, fmt.Errorf("%s: %w", path, errors.New(strings.Join(faults, " ")))
	}
	var moves []route.Move
	at := map[string]int{}
	for i := range reading.Rows {
		row := &reading.Rows[i]
		slug, page := reading.Cell(row, "slug"), reading.Cell(row, "page")
		if slug == "" {
			return nil, fmt.Errorf("%s: row %d has no slug", path, row.Number)
		}
		if _, there := at[slug]; !there {
			at[slug] = len(moves)
			moves = append(moves, route.Move{Slug: slug})
		}
		if page != "" {
			moves[at[slug]].Pages = append(moves[at[slug]].Pages, page)
		}
	}
	return moves, nil
}
