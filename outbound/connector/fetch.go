package connector

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/relay/egress"
)

const (
	// LongestMedium is how many bytes of a medium a connector should fetch, where its IM tells no bound.
	LongestMedium = 10 << 20
	// fetchTimeout bounds the fetching of a medium, and tryTimeout each try.
	fetchTimeout = 20 * time.Second
	tryTimeout   = 10 * time.Second
	// codeMedia is the code of every failure to get a medium.
	codeMedia = "media"
)

var (
	// pauses are the waits before the other tries.
	pauses = []time.Duration{250 * time.Millisecond, time.Second}
	// pictures are what [http.DetectContentType] calls the formats that IMs show.
	pictures = []string{"image/jpeg", "image/png", "image/gif", "image/webp", "image/bmp"}
	// silks are how a voice message in SILK begins: WeChat's own way, and the codec's.
	silks = [][]byte{[]byte("\x02#!SILK_V3"), []byte("#!SILK_V3")}
)

// Fetch gets the picture at a URL, for an IM whose server does not fetch by itself, with what [Wire.Fetcher] returns. The
// URL is http or https, and redirects are not followed; or it is a data: URL in base64, and nothing is called.
//
// The IM is not asked in any case, and a medium holds no line up: whatever is wrong with it is Rejected, with the code
// "media". What may pass (a time-out, a refused connection, 429, 5xx) is tried thrice within 20 s before. All that
// keeps it from being got has the same words, which tell nothing of what is there. Only what is not the medium's fault
// is NotSent: the end of the relay, and too many other media under way.
//
// ctx is the send's own and must end with it: what was fetched counts among the media under way for so long.
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

// Fetchable says whether the URL is of a kind that [Fetch] takes: data: in base64, or http and https without a name and
// password, and not where clouds keep credentials.
func Fetchable(from string) bool {
	if _, ok := inline(from); ok {
		return true
	}
	u, err := url.Parse(from)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil &&
		!strings.ContainsFunc(u.Host, beyondASCII) && !egress.Metadata(u.Hostname())
}

func beyondASCII(r rune) bool { return r > unicode.MaxASCII }

// fetch gets what is at the URL.
func fetch(ctx context.Context, d egress.Doer, from string, most int) ([]byte, *outbound.SendError) {
	if data, ok := inline(from); ok {
		return decode(data, most)
	}
	if !Fetchable(from) {
		return nil, unfit("want a plain http or https URL")
	}
	end := time.Now().Add(fetchTimeout)
	for try := 0; ; try++ {
		a, err := d.Do(ctx, egress.Call{
			Method: http.MethodGet, URL: from, Timeout: min(tryTimeout, time.Until(end)), MaxAnswer: most, Once: true,
		})
		if err == nil && a.Status == http.StatusOK {
			return whole(a, most)
		}
		if try == len(pauses) || !passing(a, err) || !rest(ctx, pauses[try], end) {
			return nil, unfetched(ctx, err)
		}
	}
}

// passing says whether the failure may be gone in a moment.
func passing(a egress.Answer, err error) bool {
	if err == nil {
		return a.Status == http.StatusTooManyRequests || a.Status >= http.StatusInternalServerError
	}
	e, ok := errors.AsType[*egress.Error](err)
	return ok && !e.Lasting
}

// rest waits before another try; false: there is no time for one.
func rest(ctx context.Context, pause time.Duration, end time.Time) bool {
	if time.Until(end) <= pause {
		return false
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
	return ctx.Err() == nil
}

// whole is the medium of an answer.
func whole(a egress.Answer, most int) ([]byte, *outbound.SendError) {
	switch {
	case a.Truncated:
		return nil, tooLarge(most)
	case len(a.Body) == 0:
		return nil, unfit("the medium is empty")
	}
	return a.Body, nil
}

// unfetched is the same to whoever named the URL, whatever happened there: it would tell of networks that only the relay
// reaches.
func unfetched(ctx context.Context, err error) *outbound.SendError {
	e := unfit("the medium could not be fetched")
	e.Err = err
	if errors.Is(ctx.Err(), context.Canceled) || errors.Is(err, errRoom) {
		e.Reason = outbound.NotSent
	}
	return e
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
	return &outbound.SendError{Reason: outbound.Rejected, Ours: true, Code: codeMedia, Detail: detail}
}
