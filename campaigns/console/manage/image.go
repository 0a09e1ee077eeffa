package manage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image/jpeg"
	"image/png"

	"spillway/campaigns"
	"spillway/campaigns/console/frame"
)

// Bounds of a picture's sides, in pixels: smaller ones are icons, and a phone runs out of
// memory unpacking larger ones.
const (
	sideLeast = 64
	sideMost  = 6000
)

// errPicture says that bytes are no picture that is taken.
var errPicture = errors.New("not a PNG, JPEG or WebP")

// inspect tells what a picture is by what is in it, not by its name.
func inspect(data []byte) (contentType string, width, height int, err error) {
	switch {
	case bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")):
		c, err := png.DecodeConfig(bytes.NewReader(data))
		if err != nil {
			return "", 0, 0, errPicture
		}
		return "image/png", c.Width, c.Height, nil
	case bytes.HasPrefix(data, []byte("\xff\xd8\xff")):
		c, err := jpeg.DecodeConfig(bytes.NewReader(data))
		if err != nil {
			return "", 0, 0, errPicture
		}
		return "image/jpeg", c.Width, c.Height, nil
	case len(data) >= 30 && string(data[:4]) == "RIFF" && string(data[8:12]) == "WEBP":
		width, height, err := webpSides(data[12:])
		return "image/webp", width, height, err
	}
	return "", 0, 0, errPicture
}

// webpSides reads the first chunk of a WebP (RFC 9649, sections 2.5 to 2.7): 18 bytes at
// least.
func webpSides(chunk []byte) (width, height int, err error) {
	body := chunk[8:]
	switch string(chunk[:4]) {
	case "VP8X":
		width, height = 1+(int(body[4])|int(body[5])<<8|int(body[6])<<16), 1+(int(body[7])|int(body[8])<<8|int(body[9])<<16)
	case "VP8L":
		if body[0] != 0x2f {
			return 0, 0, errPicture
		}
		bits := binary.LittleEndian.Uint32(body[1:])
		width, height = 1+int(bits&0x3fff), 1+int(bits>>14&0x3fff)
	case "VP8 ":
		if body[3] != 0x9d || body[4] != 0x01 || body[5] != 0x2a {
			return 0, 0, errPicture
		}
		width, height = int(binary.LittleEndian.Uint16(body[6:])&0x3fff), int(binary.LittleEndian.Uint16(body[8:])&0x3fff)
	default:
		return 0, 0, errPicture
	}
	return width, height, nil
}

func (s *Section) setImage(r *frame.Request) error {
	_, data, err := r.File("image")
	if err != nil {
		return s.imageFault(r, err)
	}
	bad := func(code, detail string) error {
		return s.imageFault(r, frame.Invalid(frame.Field{Name: "image", Code: code, Detail: detail}))
	}
	if len(data) > campaigns.MediaBytesMax {
		return bad("too_large", fmt.Sprintf("The picture has %d KiB; at most %d are taken. Make it smaller, or save it as JPEG or WebP.", (len(data)+1023)>>10, campaigns.MediaBytesMax>>10))
	}
	contentType, width, height, err := inspect(data)
	switch {
	case err != nil:
		return bad("not_a_picture", "It is not a PNG, JPEG or WebP picture, whatever its name says.")
	case width < sideLeast || height < sideLeast:
		return bad("too_small", fmt.Sprintf("It is %d by %d pixels; it has at least %d on each side, 1200 by 630 look well.", width, height, sideLeast))
	case width > sideMost || height > sideMost:
		return bad("too_large", fmt.Sprintf("It is %d by %d pixels; it has at most %d on each side.", width, height, sideMost))
	}
	if data, err = strip(contentType, data); err != nil {
		return bad("not_a_picture", "The picture is damaged: save it anew and send it again.")
	}
	key, err := s.Campaigns.PutMedia(r.Context(), contentType, data)
	if err != nil {
		return trouble(err)
	}
	return s.change(r, "campaign.image", func(c *campaigns.Campaign) error {
		c.Image = key
		return nil
	}, fmt.Sprintf("The picture is set: %d by %d pixels.", width, height))
}

// imageFault shows what is wrong with a picture where it was chosen.
func (s *Section) imageFault(r *frame.Request, err error) error {
	fault, status, refused := faultsOf(err)
	if !refused || r.WantsJSON() {
		return err
	}
	c, getErr := s.Campaigns.Get(r.Context(), r.Param("slug"))
	if getErr != nil {
		return trouble(getErr)
	}
	r.Status(status)
	return s.form(r, &campaignPageData{Campaign: c, Fault: fault})
}

func (s *Section) removeImage(r *frame.Request) error {
	return s.change(r, "campaign.image", func(c *campaigns.Campaign) error {
		c.Image = ""
		return nil
	}, "The picture is taken off.")
}

// media serves a picture to the console's own pages: they may load from here alone.
func (s *Section) media(r *frame.Request) error {
	key := r.Param("key")
	if !campaigns.ValidMediaKey(key) {
		return frame.NotFound("picture")
	}
	m, err := s.Campaigns.Media(r.Context(), key)
	if err != nil {
		return trouble(err)
	}
	// Named by its bytes: it never changes.
	r.Raw().Response.Header.Set("Cache-Control", "private, max-age=31536000, immutable")
	r.Raw().SetContentType(m.ContentType)
	r.Raw().SetBody(m.Data)
	return nil
}
