package manage

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// strip takes out of a picture what says more than it shows: where and when it was taken
// and with which camera, whose programs and previews. Colours and which side is up stay.
// The picture itself is copied byte for byte. Errors: errPicture.
func strip(contentType string, data []byte) ([]byte, error) {
	switch contentType {
	case "image/jpeg":
		return stripJPEG(data)
	case "image/png":
		return stripPNG(data)
	case "image/webp":
		return stripWebP(data)
	}
	return nil, errPicture
}

// Markers of JPEG (ITU-T T.81, table B.1).
const (
	jpegRST0 = 0xd0
	jpegEOI  = 0xd9
	jpegSOS  = 0xda
	jpegAPP0 = 0xe0
	jpegAPP1 = 0xe1
	jpegAPP2 = 0xe2
	jpegLast = 0xef // APP15
	jpegCOM  = 0xfe
)

// stripJPEG copies the segments that show the picture. Behind its end cameras put further
// pictures and films, which are left out too.
func stripJPEG(data []byte) ([]byte, error) {
	out := append(make([]byte, 0, len(data)), data[:2]...) // SOI
	for at := 2; ; {
		if at+4 > len(data) || data[at] != 0xff {
			return nil, errPicture
		}
		marker := data[at+1]
		switch {
		case marker == 0xff: // fill
			at++
			continue
		case marker == jpegEOI:
			return append(out, 0xff, jpegEOI), nil
		}
		end := at + 2 + int(binary.BigEndian.Uint16(data[at+2:]))
		if end < at+4 || end > len(data) {
			return nil, errPicture
		}
		body := data[at+4 : end]
		switch {
		case marker == jpegAPP1:
			if up := orientation(body); up > 1 {
				out = append(out, onlyOrientation(up)...)
			}
		case marker == jpegAPP2 && !bytes.HasPrefix(body, []byte("ICC_PROFILE\x00")), marker == jpegCOM,
			marker > jpegAPP2 && marker <= jpegLast && !bytes.HasPrefix(body, []byte("Adobe")): // which tells how colours are stored
		case marker == jpegAPP0 && !bytes.HasPrefix(body, []byte("JFIF\x00")): // a preview
		default:
			out = append(out, data[at:end]...)
		}
		at = end
		if marker == jpegSOS {
			n := scan(data[at:])
			out = append(out, data[at:at+n]...)
			if at += n; at+2 > len(data) || at+4 > len(data) && data[at+1] != jpegEOI {
				return append(out, 0xff, jpegEOI), nil // cut short, and shown as far as it goes
			}
			if data[at+1] == jpegEOI {
				return append(out, 0xff, jpegEOI), nil
			}
		}
	}
}

// scan is how many bytes of a scan come before the next segment's marker.
func scan(data []byte) int {
	for i := 0; i+1 < len(data); i++ {
		if next := data[i+1]; data[i] == 0xff && next != 0 && next != 0xff && (next < jpegRST0 || next >= jpegRST0+8) {
			return i
		}
	}
	return len(data)
}

// Tags and types of TIFF 6.0, as Exif has them.
const (
	exifHead       = "Exif\x00\x00"
	tagOrientation = 0x0112
	typeShort      = 3
	entryBytes     = 12
)

// orientation is which side is up, 1 to 8, as Exif says; 0 when it does not.
func orientation(segment []byte) uint16 {
	tiff, is := bytes.CutPrefix(segment, []byte(exifHead))
	if !is || len(tiff) < 8 {
		return 0
	}
	var order binary.ByteOrder = binary.BigEndian
	if string(tiff[:2]) == "II" {
		order = binary.LittleEndian
	}
	first := uint64(order.Uint32(tiff[4:]))
	if first+2 > uint64(len(tiff)) {
		return 0
	}
	entries := tiff[first+2:]
	for range order.Uint16(tiff[first:]) {
		if len(entries) < entryBytes {
			return 0
		}
		if order.Uint16(entries) == tagOrientation && order.Uint16(entries[2:]) == typeShort {
			if up := order.Uint16(entries[8:]); up <= 8 {
				return up
			}
			return 0
		}
		entries = entries[entryBytes:]
	}
	return 0
}

// onlyOrientation is a segment of Exif that says which side is up and nothing else.
func onlyOrientation(up uint16) []byte {
	body := append([]byte(exifHead), "MM\x00\x2a\x00\x00\x00\x08\x00\x01"...) // one entry at 8
	body = append(body, 0x01, 0x12, 0, typeShort, 0, 0, 0, 1, byte(up>>8), byte(up), 0, 0)
	body = append(body, 0, 0, 0, 0) // no further directory
	return append(binary.BigEndian.AppendUint16([]byte{0xff, jpegAPP1}, uint16(len(body)+2)), body...)
}

// pngSaid are the chunks that only tell something (PNG 1.2 and its extensions).
var pngSaid = []string{"eXIf", "tEXt", "zTXt", "iTXt", "tIME"}

// stripPNG leaves out chunks that only tell something, and whatever stands behind the
// picture's end.
func stripPNG(data []byte) ([]byte, error) {
	const head, around = 8, 12 // signature; length, type and checksum of a chunk
	out := append(make([]byte, 0, len(data)), data[:head]...)
	for at := head; ; {
		if at+around > len(data) {
			return nil, errPicture
		}
		end := uint64(at) + around + uint64(binary.BigEndian.Uint32(data[at:]))
		if end > uint64(len(data)) {
			return nil, errPicture
		}
		kind := string(data[at+4 : at+8])
		if !slices.Contains(pngSaid, kind) {
			out = append(out, data[at:end]...)
		}
		if kind == "IEND" {
			return out, nil
		}
		at = int(end)
	}
}

// Flags of a WebP's VP8X chunk (RFC 9649, section 2.7).
const (
	webpExif = 0x08
	webpXMP  = 0x04
)

// stripWebP leaves out the chunks EXIF and XMP, and whatever stands behind the file's end.
func stripWebP(data []byte) ([]byte, error) {
	const head, around = 12, 8
	size := uint64(binary.LittleEndian.Uint32(data[4:])) + around
	if size < head || size > uint64(len(data)) {
		return nil, errPicture
	}
	data = data[:size]
	out := append(make([]byte, 0, len(data)), data[:head]...)
	for at := head; at < len(data); {
		if at+around > len(data) {
			return nil, errPicture
		}
		length := uint64(binary.LittleEndian.Uint32(data[at+4:]))
		end := uint64(at) + around + length
		if end > uint64(len(data)) {
			return nil, errPicture
		}
		if end%2 == 1 && end < uint64(len(data)) { // chunks are padded, the last one not always
			end++
		}
		kind, begun := string(data[at:at+4]), len(out)
		if kind != "EXIF" && kind != "XMP " {
			out = append(out, data[at:end]...)
		}
		if kind == "VP8X" && length > 0 {
			out[begun+around] &^= webpExif | webpXMP
		}
		at = int(end)
	}
	binary.LittleEndian.PutUint32(out[4:], uint32(len(out)-around))
	return out, nil
}
