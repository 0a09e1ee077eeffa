package bench

import (
	"context"
	"path/filepath"
)

// shownPages are pages of the demonstration's giving day, by the names of their figures.
var shownPages = []struct{ name, path string }{
	{"campaign_page", "/c/river-school"},
	{"day_page", "/"},
}

// pages measures donors' pages, uncompressed, each against a bare handler that answers
// as many bytes, in alternating runs.
func (b *bench) pages(ctx context.Context, hooks Hooks) error {
	s, err := b.up(ctx, hooks, filepath.Join(b.dir, "pages"), 0)
	if err != nil {
		return err
	}
	defer s.stop()
	for _, page := range shownPages {
		if err := b.page(ctx, s, page.name, page.path); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) page(ctx context.Context, s *service, name, path string) error {
	return b.beside(ctx, s, path, func(i, size int, ceiling, got wrkResult) {
		b.report.add(name+"_bytes", float64(size))
		b.report.add(name+"_bare_per_second", ceiling.perSecond())
		b.report.add(name+"_per_second", got.perSecond())
		b.report.add(name+"_over_bare", got.perSecond()/ceiling.perSecond())
		b.report.add("pages_refused", float64(got.Refused+got.Errors))
		b.say("%s %d/%d: %d bytes, bare %.0f/s, page %.0f/s (%.2f)", name, i, b.Repeats, size, ceiling.perSecond(), got.perSecond(), got.perSecond()/ceiling.perSecond())
	})
}

// beside reads path of the service and as many bytes of a bare handler in turn, and
// tells each pair, i of Repeats.
func (b *bench) beside(ctx context.Context, s *service, path string, tell func(i, size int, ceiling, got wrkResult)) error {
	size, err := sizeOf(s.HTTP + path)
	if err != nil {
		return err
	}
	bare, err := b.ceiling(ctx, "bytes", size)
	if err != nil {
		return err
	}
	defer bare.stop()
	for i := range b.Repeats {
		ceiling, err := b.gen.get(ctx, bare.url+path, b.Short)
		if err != nil {
			return err
		}
		got, err := b.gen.get(ctx, s.HTTP+path, b.Short)
		if err != nil {
			return err
		}
		tell(i+1, size, ceiling, got)
	}
	return nil
}
