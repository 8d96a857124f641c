package config

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/imrelay/imrelay/relay/secret"
)

// Print writes what holds as YAML: every key, secrets masked, and after each value where it came from: a line of the
// file, a variable, a flag, or the default. What it writes can be loaded again once the secrets are put in.
func (c Config) Print(w io.Writer) error {
	p := printer{journal: c.journal}
	if p.journal == nil {
		p.journal = newJournal("")
	}
	p.table(reflect.ValueOf(c), "", 0)
	if _, err := w.Write(p.out.Bytes()); err != nil {
		return fmt.Errorf("print configuration: %w", err)
	}
	return nil
}

// mask is what a hidden value looks like, as a secret does.
var mask = secret.New("any").String()

type printer struct {
	journal *journal
	out     bytes.Buffer
}

// line writes one key and its value; an empty value opens a table.
func (p *printer) line(depth int, path, key, shown string) {
	p.out.WriteString(strings.Repeat("  ", depth) + key + ":")
	if shown != "" {
		p.out.WriteString(" " + shown + "  # " + p.source(path))
	}
	p.out.WriteByte('\n')
}

// source says where a key's value came from.
func (p *printer) source(path string) string {
	o, ok := p.journal.origins[path]
	switch {
	case !ok || o == origin{}:
		return "default"
	case o.line == 0:
		return o.name
	case o.name == "":
		return fmt.Sprintf("line %d", o.line)
	default:
		return fmt.Sprintf("line %d, %s", o.line, o.name)
	}
}

func (p *printer) table(v reflect.Value, path string, depth int) {
	known, rest := fields(v.Type())
	for _, f := range known {
		p.value(v.FieldByIndex(f.index), join(path, f.key), f.key, depth)
	}
	if rest == nil {
		return
	}
	if s, ok := reflect.TypeAssert[Section](v.FieldByIndex(rest)); ok && s.s != nil {
		for _, e := range s.s.entries {
			p.own(e, join(path, e.key), depth)
		}
	}
}

func (p *printer) value(v reflect.Value, path, key string, depth int) {
	if shown, ok := show(v.Interface()); ok {
		p.line(depth, path, key, shown)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		p.line(depth, path, key, "")
		p.table(v, path, depth+1)
	case reflect.Map:
		if v.Len() == 0 {
			p.line(depth, path, key, "{}")
			return
		}
		p.line(depth, path, key, "")
		for _, name := range slices.Sorted(maps.Keys(names(v))) {
			p.value(v.MapIndex(reflect.ValueOf(name)), join(path, name), quote(name), depth+1)
		}
	case reflect.Slice:
		p.list(v, path, key, depth)
	}
}

// names are the keys of a map.
func names(v reflect.Value) map[string]bool {
	all := map[string]bool{}
	for _, k := range v.MapKeys() {
		all[k.String()] = true
	}
	return all
}

// list writes scalars in one line, and tables each under a dash.
func (p *printer) list(v reflect.Value, path, key string, depth int) {
	if v.Len() > 0 && v.Type().Elem().Kind() == reflect.Struct {
		if _, ok := show(v.Index(0).Interface()); !ok {
			p.tables(v, path, key, depth)
			return
		}
	}
	items := make([]string, v.Len())
	for i := range items {
		items[i], _ = show(v.Index(i).Interface())
	}
	p.line(depth, path, key, "["+strings.Join(items, ", ")+"]")
}

func (p *printer) tables(v reflect.Value, path, key string, depth int) {
	p.line(depth, path, key, "")
	for i := range v.Len() {
		start := p.out.Len()
		p.table(v.Index(i), fmt.Sprintf("%s[%d]", path, i), depth+2)
		p.out.Bytes()[start+2*depth+2] = '-' // the first key's indent makes room for the dash
	}
}

// harmless are keys of kinds that hold no secret. Of all others nothing is shown, and of an
// address only where it leads: the rest may hold a token too.
var harmless = []string{
	"mode", "channel", "model", "app_id", "window", "signature_header", "token_header", "paths",
}

// own writes a key that belongs to a kind.
func (p *printer) own(e entry, path string, depth int) {
	key := quote(e.key)
	switch {
	case e.key == "url" && e.value.scalar():
		p.line(depth, path, key, quote(shownURL(e.value.text)))
	case !slices.Contains(harmless, e.key):
		p.line(depth, path, key, quote(mask))
	case e.value.form == table:
		p.line(depth, path, key, "")
		for _, inner := range e.value.entries {
			p.line(depth+1, path, quote(inner.key), quote(inner.value.text))
		}
	default:
		p.line(depth, path, key, quote(e.value.text))
	}
}

// shownURL is the part of a URL that tells where it leads and is never secret.
func shownURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return mask
	}
	shown := u.Scheme + "://" + u.Host
	if strings.TrimPrefix(u.RequestURI(), "/") != "" {
		shown += "/" + mask
	}
	return shown
}

// show writes a leaf.
func show(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return quote(v), true
	case bool:
		return strconv.FormatBool(v), true
	case int:
		return strconv.Itoa(v), true
	case time.Duration:
		return FormatDuration(v), true
	case Size:
		return v.String(), true
	case Rate:
		return quote(v.String()), true
	case Quiet:
		return quote(v.String()), true
	case netip.Prefix:
		return quote(v.String()), true
	case secret.Text:
		return quote(v.String()), true
	}
	return "", false
}

var unquoted = regexp.MustCompile(`^[A-Za-z_./][A-Za-z0-9_./:@-]*$`)

// quote writes a text so that YAML reads it as the same text.
func quote(s string) string {
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		return strconv.Quote(s)
	}
	if unquoted.MatchString(s) && !strings.HasSuffix(s, ":") && !strings.HasPrefix(s, ".") {
		return s
	}
	return strconv.Quote(strings.ReplaceAll(s, "${", "$${"))
}
