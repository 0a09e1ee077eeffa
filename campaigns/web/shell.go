package web

// Pages whose content is in the browser alone: they are the same for everybody.

func (w *Web) renderBasket() (*sheet, error) {
	p := w.newPage("basket", pathBasket, w.deps.Directory.Event())
	p.Title, p.NoIndex = "Your basket · "+p.SiteName, true
	p.Description = "Give to several campaigns with one payment."
	return w.finishShell(p)
}

func (w *Web) renderGift() (*sheet, error) {
	p := w.newPage("donation", "", w.deps.Directory.Event())
	p.Title, p.NoIndex = "Your gift · "+p.SiteName, true
	p.Description = "Where a gift stands, for the one who gave it."
	return w.finishShell(p)
}

// finishShell renders a page that shows no figures; its age is that of the books.
func (w *Web) finishShell(p *page) (*sheet, error) {
	return w.finish(p, w.deps.Board.Snapshot().AsOf, zone(w.deps.Directory.Event()), w.cfg.Now())
}
