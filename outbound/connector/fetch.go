package connector

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/relay/egress"
)

const (
	// LongestMedium is how many bytes of a medium a connector should fetch, where its IM tells no bound.
	LongestMedium = 10 << 20
	// fetchTimeout bounds the fetching of a medium.
	fetchTimeout = 20 * time.Second
	// codeMedia is the code of every failure to get a medium.
	codeMedia = "media"
)

var (
	// pictures are what [http.DetectContentType] calls the formats that IMs show.
	pictures = []string{"image/jpeg", "image/png", "image/gif", "image/webp", "image/bmp"}
	// silks are how a voice message in SILK begins: WeChat's own way, and the codec's.
	silks = [][]byte{[]byte("\x02#!SILK_V3"), []byte("#!SILK_V3")}
)

// Fetch gets the picture at a URL, for an IM whose server does not fetch by itself. The URL is http or https, and is got
// with one call that follows no redirect, or it is a data: URL in base64, and nothing is called. What is out of reach
// is NotSent. An answer other than 200, more than most bytes, and what is no picture by its own bytes are Rejected.
// Nothing was sent to the IM in any case; the code is "media".
func Fetch(ctx context.Context, d egress.Doer, from string, most int) ([]byte, *outbound.SendError) {
	body, e := fetch(ctx, d, from, most)
	if e == nil && !slices.Contains(pictures, http.DetectContentType(body)) {
		return nil, unfit("what is there is no picture")
	}
	return body, e
}

// FetchVoice is [Fetch] for a voice message, which has to be in SILK.
func FetchVoice(ctx context.Context, d egress.Doer, from string, most int) ([]byte, *outbound.SendError) {
	body, e := fetch(ctx, d, from, most)
	if e == nil && !slices.ContainsFunc(silks, func(start []byte) bool { return bytes.HasPrefix(body, start) }) {
		return nil, unfit("what is there is no voice message in SILK")
	}
	return body, e
}

// Fetchable says whether the URL is of a kind that [Fetch] takes.
func Fetchable(from string) bool {
	if _, ok := inline(from); ok {
		return true
	}
	u, err := url.Parse(from)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// fetch gets what is at the URL.
func fetch(ctx context.Context, d egress.Doer, from string, most int) ([]byte, *outbound.SendError) {
	if data, ok := inline(from); ok {
		return decode(data, most)
	}
	if !Fetchable(from) {
		return nil, unfit("want an http or https URL")
	}
	a, err := d.Do(ctx, egress.Call{Method: http.MethodGet, URL: from, Timeout: fetchTimeout, MaxAnswer: most})
	switch {
	case err != nil:
		return nil, &outbound.SendError{
			Reason: outbound.NotSent, Code: codeMedia, Detail: "the medium could not be fetched", Err: err,
		}
	case a.Status != http.StatusOK:
		return nil, unfit(fmt.Sprintf("the medium's server answered %d", a.Status))
	case a.Truncated:
		return nil, tooLarge(most)
	case len(a.Body) == 0:
		return nil, unfit("the medium is empty")
	}
	return a.Body, nil
}

// inline is what a data: URL in base64 holds, still encoded.
func inline(from string) (string, bool) {
	const scheme = "data:"
	if len(from) < len(scheme) || !strings.EqualFold(from[:len(scheme)], scheme) {
		return "", false
	}
	head, data, ok := strings.Cut(from[len(scheme):], ",")
	return data, ok && strings.HasSuffix(strings.ToLower(head), ";base64")
}

// decode reads what a data: URL holds.
func decode(data string, most int) ([]byte, *outbound.SendError) {
	if base64.StdEncoding.DecodedLen(len(data)) > most+base64.StdEncoding.DecodedLen(4) {
		return nil, tooLarge(most)
	}
	body, err := base64.StdEncoding.DecodeString(data)
	switch {
	case err != nil:
		return nil, unfit("the data: URL is no base64")
	case len(body) > most:
		return nil, tooLarge(most)
	}
	return body, nil
}

func tooLarge(most int) *outbound.SendError {
	return unfit(fmt.Sprintf("the medium has more than %d bytes", most))
}

// unfit is a medium that will be no better when it is tried again.
func unfit(detail string) *outbound.SendError {
	return &outbound.SendError{Reason: outbound.Rejected, Code: codeMedia, Detail: detail}
}
