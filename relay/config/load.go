package config

import (
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
)

// maxFile bounds a configuration file.
const maxFile = 1 << 20

// Flag is a value given on the command line. It wins over everything else.
type Flag struct {
	// Name is the flag with its dashes, as it is named in a mistake: --listen.
	Name string
	// Key is the path of the key that it sets: listen, log.level.
	Key string
	// Value is what it sets it to.
	Value string
}

// overrides are the environment variables that win over the file.
var overrides = []struct{ name, key string }{
	{"IMRELAY_LISTEN", "listen"},
	{"IMRELAY_DATA", "data"},
	{"IMRELAY_REDIS", "redis"},
	{"IMRELAY_LOG_LEVEL", "log.level"},
	{"IMRELAY_LOG_FORMAT", "log.format"},
}

// Load reads the file at path, or where that is empty the one that IMRELAY_CONFIG names, or where there is none the
// variables of the environment alone (see [EnvNames]). Flags win over IMRELAY_* variables, these over the file, the
// file over the defaults. An empty variable counts as one that is not set.
//
// Its error is an [*Error] with every mistake. The Config that comes with one is what could be read: good for looking
// for more mistakes in its sections, and for nothing else.
func Load(path string, lookup Lookup, flags ...Flag) (Config, error) {
	if path == "" {
		path, _ = lookup("IMRELAY_CONFIG")
	}
	if path == "" {
		j := newJournal("")
		j.alone = true
		return finish(j, fromEnv(lookup, j), lookup, flags)
	}
	data, err := readFile(path)
	if err != nil {
		e := &Error{Path: path, Mistakes: []Mistake{{Message: err.Error()}}, Hint: hintFile}
		return Default(), e
	}
	return Parse(path, data, lookup, flags...)
}

// Parse is Load for a file that was read already; path only names it in errors, and may be empty.
func Parse(path string, data []byte, lookup Lookup, flags ...Flag) (Config, error) {
	j := newJournal(path)
	r := reader{lookup: lookup, journal: j, anchors: map[string]*value{}}
	top, ok := r.read(data)
	if !ok {
		return Default(), j.err()
	}
	return finish(j, top, lookup, flags)
}

// finish decodes and checks.
func finish(j *journal, top *value, lookup Lookup, flags []Flag) (Config, error) {
	c := Default()
	c.journal = j
	d := decoder{journal: j}
	into := reflect.ValueOf(&c).Elem()
	d.value(top, into, "")
	for _, o := range overrides {
		if given, ok := lookup(o.name); ok && given != "" {
			d.value(nest(o.key, &value{form: text, text: given, name: o.name}), into, "")
		}
	}
	for _, f := range flags {
		d.value(nest(f.Key, &value{form: text, text: f.Value, name: f.Name}), into, "")
	}
	c.validate(j)
	return c, j.err()
}

// nest puts a value at a key path.
func nest(key string, v *value) *value {
	steps := strings.Split(key, ".")
	for _, step := range slices.Backward(steps) {
		v = &value{form: table, entries: []entry{{key: step, value: v}}}
	}
	return v
}

// Mistake returns an [*Error] about a key, with the line where the key stands. It is for those who find a mistake that
// Load cannot see, such as in an expression.
func (c Config) Mistake(key, message string) error {
	j := c.journal
	if j == nil {
		j = newJournal("")
	}
	return j.error([]Mistake{j.mistake(key, message)})
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the file cannot be read: %w", bare(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("the file cannot be read: %w", bare(err))
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("the file is larger than %s", Size(maxFile))
	}
	return data, nil
}
