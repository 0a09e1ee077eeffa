package manage

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"reflect"
	"testing"
)

// Marks of what must not be published.
var secrets = []string{"GPS-52.5200N", "Camera of Ada", "motion-film", "a caption", "GPano", "preview-of-the-uncut"}

func drawing() image.Image {
	m := image.NewRGBA(image.Rect(0, 0, 80, 70))
	for i := range 80 * 70 {
		m.Set(i%80, i/80, color.RGBA{uint8(i), uint8(i / 7), uint8(i / 13), 255})
	}
	return m
}

func segment(marker byte, body string) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{0xff, marker}, uint16(len(body)+2)), body...)
}

// exif is a segment of Exif in the byte order, with a model, a GPS directory and which
// side is up.
func exif(order binary.AppendByteOrder, up uint16) []byte {
	tiff := []byte("MM\x00\x2a")
	if order.String() == "LittleEndian" {
		tiff = []byte("II\x2a\x00")
	}
	tiff = order.AppendUint32(tiff, 8)
	entry := func(tag, kind uint16, count, value uint32) {
		tiff = order.AppendUint32(order.AppendUint32(order.AppendUint16(order.AppendUint16(tiff, tag), kind), count), value)
	}
	tiff = order.AppendUint16(tiff, 3)
	entry(0x0110, 2, 14, 50) // model
	tiff = order.AppendUint32(order.AppendUint16(order.AppendUint16(tiff, tagOrientation), typeShort), 1)
	tiff = order.AppendUint16(order.AppendUint16(tiff, up), 0)
	entry(0x8825, 4, 1, 64) // GPS
	tiff = order.AppendUint32(tiff, 0)
	return segment(jpegAPP1, exifHead+string(tiff)+"Camera of Ada\x00GPS-52.5200N")
}

// photograph is a JPEG as a telephone makes it.
func photograph(t testing.TB, order binary.AppendByteOrder, up uint16) (told, bare []byte) {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, drawing(), nil); err != nil {
		t.Fatal(err)
	}
	bare = b.Bytes()
	told = append([]byte{}, bare[:2]...)
	for _, s := range [][]byte{
		segment(jpegAPP0, "JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"), segment(jpegAPP0, "JFXX\x00preview-of-the-uncut"), exif(order, up),
		segment(jpegAPP1, "http://ns.adobe.com/xap/1.0/\x00<GPano>"), segment(jpegAPP2, "ICC_PROFILE\x00\x01\x01colours"), segment(jpegAPP2, "MPF\x00motion-film"),
		segment(0xed, "Photoshop 3.0\x008BIM a caption"), segment(jpegCOM, "a caption"),
	} {
		told = append(told, s...)
	}
	return append(append(told, bare[2:]...), "motion-film GPS-52.5200N"...), bare
}

func TestStrip_JPEG(t *testing.T) {
	for _, order := range []binary.AppendByteOrder{binary.BigEndian, binary.LittleEndian} {
		for _, up := range []uint16{0, 1, 6, 9} {
			told, bare := photograph(t, order, up)
			got, err := strip("image/jpeg", told)
			if err != nil {
				t.Fatal(err)
			}
			clean(t, got)
			if !bytes.Contains(got, []byte("ICC_PROFILE\x00\x01\x01colours")) {
				t.Error("the colours are gone")
			}
			want := uint16(0)
			if up == 6 {
				want = 6
			}
			found := uint16(0)
			if at := bytes.Index(got, []byte(exifHead)); at >= 0 {
				found = orientation(got[at:])
			}
			if found != want {
				t.Errorf("%v, %d is up: %d is up afterwards", order, up, found)
			}
			same(t, got, bare)
			if again, err := strip("image/jpeg", got); err != nil || !bytes.Equal(again, got) {
				t.Errorf("stripped again it is another picture: %v", err)
			}
		}
	}
	// What was cut on its way is shown as far as it goes; a segment that was is no picture.
	told, _ := photograph(t, binary.BigEndian, 6)
	if got, err := strip("image/jpeg", told[:len(told)-40]); err != nil || !bytes.HasSuffix(got, []byte{0xff, jpegEOI}) {
		t.Errorf("cut in the scan: %v", err)
	}
	if _, err := strip("image/jpeg", told[:60]); err == nil {
		t.Error("cut in a segment, and taken")
	}
}

func clean(t *testing.T, picture []byte) {
	t.Helper()
	for _, secret := range secrets {
		if bytes.Contains(picture, []byte(secret)) {
			t.Errorf("%q is still in it", secret)
		}
	}
}

// same tells whether both show the same.
func same(t *testing.T, got, want []byte) {
	t.Helper()
	a, _, err := image.Decode(bytes.NewReader(got))
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := image.Decode(bytes.NewReader(want))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(a, b) {
		t.Error("it shows something else")
	}
}

func TestStrip_PNG(t *testing.T) {
	var b bytes.Buffer
	if err := png.Encode(&b, drawing()); err != nil {
		t.Fatal(err)
	}
	bare := b.Bytes()
	const ihdr = 8 + 25
	told := append([]byte{}, bare[:ihdr]...)
	for kind, body := range map[string]string{"eXIf": "GPS-52.5200N", "tEXt": "Comment\x00a caption", "iTXt": "XML:com.adobe.xmp\x00GPano", "tIME": "\x07\xea\x0b\x16\x0c\x00\x00"} {
		chunk := append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), kind+body...)
		told = append(told, binary.BigEndian.AppendUint32(chunk, crc32.ChecksumIEEE(chunk[4:]))...)
	}
	told = append(append(told, bare[ihdr:]...), "motion-film"...)
	got, err := strip("image/png", told)
	if err != nil || !bytes.Equal(got, bare) {
		t.Errorf("%d bytes, want %d: %v", len(got), len(bare), err)
	}
	clean(t, got)
	if _, err := strip("image/png", bare[:len(bare)-20]); err == nil {
		t.Error("cut, and taken")
	}
}

func TestStrip_WebP(t *testing.T) {
	riff := func(chunks ...string) []byte {
		body := "WEBP"
		for i := 0; i < len(chunks); i += 2 {
			body += chunks[i] + string(binary.LittleEndian.AppendUint32(nil, uint32(len(chunks[i+1])))) + chunks[i+1]
			if len(chunks[i+1])%2 == 1 {
				body += "\x00"
			}
		}
		return append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(body))), body...)
	}
	const sides, shown = "\x00\x00\x00\x4f\x00\x00\x45\x00\x00", "\x2fthe picture itself"
	told := riff("VP8X", "\x2c"+sides, "ICCP", "colours", "VP8L", shown, "EXIF", "GPS-52.5200N", "XMP ", "GPano")
	got, err := strip("image/webp", append(told, "motion-film"...))
	if want := riff("VP8X", "\x20"+sides, "ICCP", "colours", "VP8L", shown); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	if kind, width, height, err := inspect(got); kind != "image/webp" || width != 80 || height != 70 || err != nil {
		t.Errorf("%s, %d by %d, %v", kind, width, height, err)
	}
	if _, err := strip("image/webp", told[:len(told)-3]); err == nil {
		t.Error("cut, and taken")
	}
}

// FuzzStrip: whatever is taken is still a picture of the same sides, tells nothing, and
// is left alone when it comes again.
func FuzzStrip(f *testing.F) {
	told, bare := photograph(f, binary.LittleEndian, 6)
	f.Add(told)
	f.Add(bare)
	f.Add([]byte("RIFF\x16\x00\x00\x00WEBPVP8L\x0a\x00\x00\x00\x2f\x4f\x40\x11\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		kind, width, height, err := inspect(data)
		if err != nil {
			return
		}
		got, err := strip(kind, data)
		if err != nil {
			return
		}
		if k, w, h, err := inspect(got); err != nil || k != kind || w != width || h != height {
			t.Fatalf("%s of %d by %d becomes %s of %d by %d, %v", kind, width, height, k, w, h, err)
		}
		if again, err := strip(kind, got); err != nil || !bytes.Equal(again, got) {
			t.Fatalf("stripped again it is another picture: %v", err)
		}
	})
}
