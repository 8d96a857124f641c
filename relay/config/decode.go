package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/imrelay/imrelay/relay/secret"
)

// decoder fills structs from values, leaf by leaf, so that one mistake does not hide the next.
type decoder struct {
	journal *journal
	common  []string // keys that are known elsewhere, for "did you mean"
}

// defaulter is an element of a map that has defaults of its own.
type defaulter interface{ setDefaults() }

// completer is one whose defaults depend on what is given.
type completer interface{ complete() }

// field is one key of a struct.
type field struct {
	key   string
	oneof string
	index []int
}

// fields returns a struct's keys, those of embedded structs among them, and the index of its Section, nil if it has
// none.
func fields(t reflect.Type) (known []field, rest []int) {
	for f := range t.Fields() {
		key, option, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case !f.IsExported() || key == "-":
		case option == "rest":
			rest = f.Index
		case option == "inline" || f.Anonymous:
			inner, _ := fields(f.Type)
			for _, in := range inner {
				in.index = append(slices.Clone(f.Index), in.index...)
				known = append(known, in)
			}
		case key != "":
			known = append(known, field{key: key, oneof: f.Tag.Get("oneof"), index: f.Index})
		}
	}
	return known, rest
}

func keysOf(known []field) []string {
	keys := make([]string, len(known))
	for i, f := range known {
		keys[i] = f.key
	}
	return keys
}

// table fills a struct. Keys that it has not are its Section's, or mistakes.
func (d decoder) table(entries []entry, into reflect.Value, key string) {
	known, rest := fields(into.Type())
	own := &section{key: key, common: keysOf(known), path: d.journal.path}
	for _, e := range entries {
		path := join(key, e.key)
		i := slices.IndexFunc(known, func(f field) bool { return f.key == e.key })
		switch {
		case i >= 0:
			d.journal.note(path, e.at(), e.value)
			d.field(e.value, into.FieldByIndex(known[i].index), path, known[i].oneof)
		case rest != nil:
			d.journal.note(path, e.at(), e.value)
			own.entries = append(own.entries, e)
		default:
			d.journal.on(e.at(), path, unknown(e.key, append(keysOf(known), d.common...)))
		}
	}
	if rest != nil {
		into.FieldByIndex(rest).Set(reflect.ValueOf(Section{own}))
	}
}

func (d decoder) field(v *value, into reflect.Value, key, oneof string) {
	before := len(d.journal.mistakes)
	d.value(v, into, key)
	if oneof == "" || v.form == null || len(d.journal.mistakes) > before || into.String() == "" {
		return
	}
	if words := strings.Fields(oneof); !slices.Contains(words, into.String()) {
		d.journal.at(key, "want one of "+strings.Join(words, ", "))
	}
}

// value fills anything. Nothing (null) leaves what is there.
func (d decoder) value(v *value, into reflect.Value, key string) {
	if v.form == null {
		return
	}
	if p := into.Addr().Interface(); leaf(p) {
		if err := set(p, v); err != nil {
			d.journal.at(key, err.Error())
		}
		return
	}
	switch into.Kind() {
	case reflect.Struct:
		if d.want(v, table, key) {
			d.table(v.entries, into, key)
		}
	case reflect.Map:
		if d.want(v, table, key) {
			d.mapping(v, into, key)
		}
	case reflect.Slice:
		if d.want(v, list, key) {
			d.list(v, into, key)
		}
	default:
		d.journal.at(key, "this key cannot be decoded")
	}
}

func (d decoder) want(v *value, f form, key string) bool {
	if v.form != f {
		d.journal.at(key, "want "+formNames[f]+", got "+formNames[v.form])
	}
	return v.form == f
}

func (d decoder) mapping(v *value, into reflect.Value, key string) {
	made := reflect.MakeMap(into.Type())
	for _, e := range v.entries {
		path := join(key, e.key)
		d.journal.note(path, e.at(), e.value)
		element := reflect.New(into.Type().Elem())
		if x, ok := reflect.TypeAssert[defaulter](element); ok {
			x.setDefaults()
		}
		d.value(e.value, element.Elem(), path)
		if x, ok := reflect.TypeAssert[completer](element); ok {
			x.complete()
		}
		made.SetMapIndex(reflect.ValueOf(e.key).Convert(into.Type().Key()), element.Elem())
	}
	into.Set(made)
}

func (d decoder) list(v *value, into reflect.Value, key string) {
	made := reflect.MakeSlice(into.Type(), len(v.items), len(v.items))
	for i, item := range v.items {
		path := fmt.Sprintf("%s[%d]", key, i)
		d.journal.note(path, item.line, item)
		if item.form == null {
			d.journal.at(path, "want a value, got nothing")
			continue
		}
		d.value(item, made.Index(i), path)
	}
	into.Set(made)
}

// leaf says that p is of a type that one scalar fills.
func leaf(p any) bool {
	switch p.(type) {
	case *string, *bool, *int, *time.Duration, *Size, *Rate, *Quiet, *netip.Prefix, *secret.Text:
		return true
	}
	return false
}

// set fills a leaf. Its errors show no value.
func set(p any, v *value) error {
	if !v.scalar() {
		return fmt.Errorf("want %s, got %s", wanted(p), formNames[v.form])
	}
	var err error
	switch p := p.(type) {
	case *string:
		err = setString(p, v)
	case *secret.Text:
		var s string
		if err = setString(&s, v); err == nil {
			s, err = openSecret(s)
		}
		*p = secret.New(s)
	case *bool:
		err = setBool(p, v)
	case *int:
		err = setInt(p, v)
	case *time.Duration:
		*p, err = ParseDuration(v.text)
	case *Size:
		*p, err = ParseSize(v.text)
	case *Rate:
		*p, err = ParseRate(v.text)
	case *Quiet:
		*p, err = ParseQuiet(v.text)
	case *netip.Prefix:
		*p, err = parseNetwork(v.text)
	}
	return err
}

// wanted names what fills a leaf.
func wanted(p any) string {
	switch p.(type) {
	case *bool:
		return formNames[truth]
	case *int:
		return formNames[number]
	default:
		return formNames[text]
	}
}

// setString takes numbers too, as they are written: ids of accounts are often nothing but digits.
func setString(p *string, v *value) error {
	if v.form == truth {
		return errors.New("want a text, got true or false; quote it if it is meant as text")
	}
	*p = v.text
	return nil
}

func setBool(p *bool, v *value) error {
	if v.form != truth && v.name == "" || v.text != "true" && v.text != "false" {
		return errors.New("want true or false")
	}
	*p = v.text == "true"
	return nil
}

// setInt takes a text only where it came from the environment or a flag, which know no numbers.
func setInt(p *int, v *value) error {
	n, err := strconv.ParseInt(v.text, 10, 32)
	if v.form != number && v.name == "" || err != nil || n < 0 {
		return errors.New("want a whole number, 0 or more")
	}
	*p = int(n)
	return nil
}

// bare takes the path out of a file system's error.
func bare(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
