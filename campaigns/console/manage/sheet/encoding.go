package sheet

import (
	"bytes"
	"encoding/binary"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// decode turns a text file of whatever encoding into UTF-8 and says which it was.
//
// Marks at the beginning decide; without one, text that is UTF-8 is taken for UTF-8,
// and anything else for Windows-1252, which is what Excel writes in the west when it is
// not asked: every byte has a meaning there, so a wrong guess shows as wrong letters in
// the dry run.
func decode(data []byte) (text []byte, name string, err error) {
	switch {
	case bytes.HasPrefix(data, []byte("\xEF\xBB\xBF")):
		data = data[3:]
		if !utf8.Valid(data) {
			return nil, "", refuse(ErrFormat, "The file says that it is UTF-8 and is not. Export it again, as \"CSV UTF-8\".")
		}
		return data, "UTF-8", nil
	case bytes.HasPrefix(data, []byte("\xFF\xFE")):
		return wide(data[2:], binary.LittleEndian)
	case bytes.HasPrefix(data, []byte("\xFE\xFF")):
		return wide(data[2:], binary.BigEndian)
	}
	if order := wideOrder(data); order != nil {
		return wide(data, order)
	}
	if bytes.IndexByte(data, 0) >= 0 {
		return nil, "", refuse(ErrFormat, "This is no text and no .xlsx. Choose a spreadsheet saved as .xlsx or .csv.")
	}
	if utf8.Valid(data) {
		return data, "UTF-8", nil
	}
	text, err = charmap.Windows1252.NewDecoder().Bytes(data)
	if err != nil {
		return nil, "", refuse(ErrFormat, "The file's letters cannot be read. Export it again, as \"CSV UTF-8\".")
	}
	return text, "Windows-1252", nil
}

// wideProbe is how many bytes tell UTF-16 without a mark.
const wideProbe = 512

// wideOrder finds UTF-16 without a mark: in a file of column names nearly every second
// byte is zero. It is nil when it is something else.
func wideOrder(data []byte) binary.ByteOrder {
	probe := data[:min(len(data), wideProbe)&^1]
	if len(probe) < 4 {
		return nil
	}
	var zero [2]int
	for i, b := range probe {
		if b == 0 {
			zero[i&1]++
		}
	}
	units := len(probe) / 2
	switch {
	case zero[1] > units/2 && zero[0] == 0:
		return binary.LittleEndian
	case zero[0] > units/2 && zero[1] == 0:
		return binary.BigEndian
	}
	return nil
}

// wide decodes UTF-16.
func wide(data []byte, order binary.ByteOrder) ([]byte, string, error) {
	if len(data)%2 != 0 {
		return nil, "", refuse(ErrFormat, "The file is cut off in the middle of a letter (UTF-16). Export it again.")
	}
	units := make([]uint16, len(data)/2)
	for i := range units {
		units[i] = order.Uint16(data[2*i:])
	}
	text := make([]byte, 0, len(units))
	for _, r := range utf16.Decode(units) {
		text = utf8.AppendRune(text, r)
	}
	return text, "UTF-16", nil
}
