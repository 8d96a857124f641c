package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Mistake is one thing that is wrong with a configuration.
type Mistake struct {
	// Line is the line in the file, from 1; 0: it is not in a file.
	Line int
	// Key is the path of the key, as in agents.openclaw.retry.base or routes[0].when, the name of an environment
	// variable, a flag with its dashes, or empty where the whole is meant.
	Key string
	// Message says what is wrong and what would be right. It shows no value.
	Message string
}

// Error is a configuration that cannot be used. A program that stops for it exits with 78.
type Error struct {
	// Path is the file; empty: there is none.
	Path string
	// Mistakes are all that was found, in order of line and key. There is at least one.
	Mistakes []Mistake
	// Hint is the way on.
	Hint string
}

// The ways on.
const (
	hintFile = "imrelay config init writes a commented file to start from"
	hintEnv  = "imrelay demo shows it running without any account; imrelay config init writes a commented file"
)

// Error returns one line for each mistake, in the form file:line: key: message.
func (e *Error) Error() string {
	lines := make([]string, len(e.Mistakes))
	for i, m := range e.Mistakes {
		where := ""
		switch {
		case e.Path != "" && m.Line > 0:
			where = fmt.Sprintf("%s:%d: ", e.Path, m.Line)
		case m.Line > 0:
			where = fmt.Sprintf("line %d: ", m.Line)
		case e.Path != "" && m.Key == "":
			where = e.Path + ": "
		}
		if m.Key != "" {
			where += m.Key + ": "
		}
		lines[i] = where + m.Message
	}
	return strings.Join(lines, "\n")
}

// Merge makes one error of several, so that what the daemon finds in the sections of the adapters is told together with
// what [Load] found. Mistakes that are there twice are told once. Errors of another type become mistakes without a key.
// It returns nil when all are nil.
func Merge(errs ...error) error {
	var all Error
	for _, err := range errs {
		if err == nil {
			continue
		}
		e, ok := errors.AsType[*Error](err)
		if !ok {
			e = &Error{Mistakes: []Mistake{{Message: err.Error()}}}
		}
		all.Path = cmp.Or(all.Path, e.Path)
		all.Hint = cmp.Or(all.Hint, e.Hint)
		told := slices.Clone(all.Mistakes)
		for _, m := range e.Mistakes {
			if m.Key == "" || !slices.ContainsFunc(told, func(o Mistake) bool { return o.Line == m.Line && o.Key == m.Key }) {
				all.Mistakes = append(all.Mistakes, m)
			}
		}
	}
	if len(all.Mistakes) == 0 {
		return nil
	}
	sortMistakes(&all.Mistakes)
	return &all
}

func sortMistakes(ms *[]Mistake) {
	slices.SortStableFunc(*ms, func(a, b Mistake) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Key, b.Key))
	})
	*ms = slices.Compact(*ms)
}

// origin is where a value came from.
type origin struct {
	line int    // in the file; 0: not from there
	name string // the environment variable, or the flag with its dashes, that gave the value or a part of it
}

// journal gathers mistakes, and remembers where each key's value came from so that a mistake found later has a line.
type journal struct {
	path     string
	alone    bool // there is no file
	mistakes []Mistake
	origins  map[string]origin
}

func newJournal(path string) *journal { return &journal{path: path, origins: map[string]origin{}} }

// note remembers the line of a key and where its value came from. What comes later wins.
func (j *journal) note(key string, line int, v *value) {
	if line != 0 || v.name != "" {
		j.origins[key] = origin{line: line, name: v.name}
	}
}

// at adds a mistake about a key whose place is looked up: the key itself, else the nearest one above it.
func (j *journal) at(key, message string) { j.mistakes = append(j.mistakes, j.mistake(key, message)) }

// on adds a mistake at a line of the file.
func (j *journal) on(line int, key, message string) {
	j.mistakes = append(j.mistakes, Mistake{Line: line, Key: key, Message: message})
}

func (j *journal) mistake(key, message string) Mistake {
	for at := key; ; at = parent(at) {
		o, ok := j.origins[at]
		switch {
		case ok && o.line == 0 && o.name != "":
			return Mistake{Key: o.name, Message: message}
		case ok && at == key && o.name != "":
			return Mistake{Line: o.line, Key: key, Message: message + " (it comes from " + o.name + ")"}
		case ok || at == "":
			return Mistake{Line: o.line, Key: key, Message: message}
		}
	}
}

// err returns what was gathered, or nil.
func (j *journal) err() error {
	if len(j.mistakes) == 0 {
		return nil
	}
	sortMistakes(&j.mistakes)
	return j.error(j.mistakes)
}

func (j *journal) error(ms []Mistake) *Error {
	if j.alone {
		return &Error{Mistakes: ms, Hint: hintEnv}
	}
	return &Error{Path: j.path, Mistakes: ms, Hint: hintFile}
}

// parent cuts the last step off a key path.
func parent(key string) string { return key[:max(0, strings.LastIndexAny(key, ".["))] }

// join adds a step to a key path. A step comes from the file and may be anything, so it is bounded and made printable.
func join(key, step string) string {
	const longest = 64
	if len(step) > longest {
		step = step[:longest] + "…"
	}
	if !plainKey(step) {
		step = fmt.Sprintf("%q", step)
	}
	if key == "" {
		return step
	}
	return key + "." + step
}

func plainKey(s string) bool {
	return s != "" && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r == '.' || r == '"' || r == '[' || r == 0x7f || r > 0x7f
	})
}

// unknown says that a key is not known, with the known one that it looks like.
func unknown(key string, known []string) string {
	best, distance := "", 3
	for _, k := range known {
		if d := edits(key, k); d < min(distance, (len(k)+3)/2) {
			best, distance = k, d
		}
	}
	if best == "" {
		return "unknown key"
	}
	return "unknown key; did you mean " + best + "?"
}

// edits is the Levenshtein distance. Keys that differ much in length are not compared.
func edits(a, b string) int {
	if abs(len(a)-len(b)) > 3 {
		return len(a) + len(b)
	}
	row := make([]int, len(b)+1)
	for i := range row {
		row[i] = i
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for k := range len(b) {
			cost := diagonal
			if a[i] != b[k] {
				cost++
			}
			diagonal = row[k+1]
			row[k+1] = min(cost, row[k]+1, row[k+1]+1)
		}
	}
	return row[len(b)]
}

func abs(n int) int { return max(n, -n) }
