package donations

import (
	"bufio"

	"spillway/campaigns/console/manage/sheet"
)

// csvFile writes CSV straight to whoever reads it: UTF-8 with a mark, so that
// spreadsheet programs read it as such. What they would take for a formula gets an
// apostrophe before it.
type csvFile struct {
	w      *bufio.Writer
	buffer []byte
	texts  []string
	began  bool
}

func newCSV(w *bufio.Writer) *csvFile { return &csvFile{w: w} }

func (f *csvFile) row(cells []cell) error {
	f.buffer, f.texts = f.buffer[:0], f.texts[:0]
	if !f.began {
		f.buffer, f.began = append(f.buffer, "\xEF\xBB\xBF"...), true
	}
	for _, c := range cells {
		f.texts = append(f.texts, c.text)
	}
	f.buffer = sheet.AppendCSV(f.buffer, f.texts)
	_, err := f.w.Write(f.buffer)
	return err
}

func (f *csvFile) close() error { return nil }
