package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Lookup tells an environment variable, as os.LookupEnv does.
type Lookup func(name string) (string, bool)

// form is what a value looks like in the file.
type form uint8

const (
	null   form = iota // nothing, or ~
	text               // a string, quoted or not
	number             // an unquoted number
	truth              // true or false
	list
	table
)

// formNames say what is wanted where something else was found.
var formNames = [...]string{
	null: "nothing", text: "a text", number: "a number", truth: "true or false", list: "a list",
	table: "keys with values",
}

// value is one node of a file after aliases are followed and ${NAME} is replaced.
type value struct {
	line    int
	name    string // the environment variable or flag that gave the text or a part of it
	form    form
	text    string // of text, number and truth, as written
	items   []*value
	entries []entry
}

type entry struct {
	key   string
	line  int
	value *value
}

// at is the line of an entry's key, or of its value where the key came by a merge.
func (e entry) at() int {
	if e.line == 0 {
		return e.value.line
	}
	return e.line
}

// scalar says that v is neither a list nor a table.
func (v *value) scalar() bool { return v.form < list }

// Marks stand for ${NAME} while YAML is read: a brace would end an unquoted text inside {…}. They are code points that
// Unicode keeps free of meaning, and a file that holds them is refused.
const (
	markOpen    = "\uE000"
	markClose   = "\uE001"
	markEscaped = "\uE002"
)

var (
	reference = regexp.MustCompile(`(\$?)\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)
	marked    = regexp.MustCompile("([" + markOpen + markEscaped + "])([A-Za-z_][A-Za-z0-9_]*)" + markClose)
)

// maxDepth bounds nesting. Nothing here is deeper than six.
const maxDepth = 32

// reader turns a file's text into values.
type reader struct {
	lookup  Lookup
	journal *journal
	anchors map[string]*value
}

// read returns the file's top value, and whether the file could be read at all. Mistakes go to the journal.
func (r *reader) read(data []byte) (*value, bool) {
	src := strings.TrimPrefix(string(data), "\uFEFF")
	if !utf8.ValidString(src) || strings.ContainsAny(src, markOpen+markClose+markEscaped+"\x00") {
		r.journal.on(0, "", "not a text file in UTF-8")
		return nil, false
	}
	src = reference.ReplaceAllStringFunc(src, func(s string) string {
		m := reference.FindStringSubmatch(s)
		if m[1] != "" {
			return markEscaped + m[2] + markClose
		}
		return markOpen + m[2] + markClose
	})
	file, line, err := parse(src)
	switch {
	case err != nil:
		r.journal.on(line, "", err.Error())
		return nil, false
	case len(file.Docs) == 0 || file.Docs[0].Body == nil:
		return &value{form: table}, true
	case len(file.Docs) > 1:
		r.journal.on(0, "", "more than one YAML document")
		return nil, false
	}
	return r.value(file.Docs[0].Body, "", 0), true
}

// parse calls the YAML parser. A syntax error is told without the source that it quotes; a panic of the parser is a
// syntax error like others.
func parse(src string) (file *ast.File, line int, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("not valid YAML")
		}
	}()
	file, err = parser.ParseBytes([]byte(src), 0, parser.AllowDuplicateMapKey())
	if err == nil {
		return file, 0, nil
	}
	message := "not valid YAML"
	if e, ok := errors.AsType[*yaml.SyntaxError](err); ok {
		if t := e.GetToken(); t != nil && t.Position != nil {
			line = t.Position.Line
		}
		if m := e.GetMessage(); !strings.ContainsAny(m, "\"\n") {
			message += ": " + m
		}
	}
	return nil, line, errors.New(message)
}

// value converts one node. It never returns nil.
func (r *reader) value(n ast.Node, key string, depth int) *value {
	v := &value{line: lineOf(n)}
	if depth > maxDepth {
		r.journal.on(v.line, key, "nested too deeply")
		return v
	}
	switch n := n.(type) {
	case *ast.AnchorNode:
		v = r.value(n.Value, key, depth+1)
		r.anchors[n.Name.String()] = v // only now, so that no value holds itself
	case *ast.AliasNode:
		known, ok := r.anchors[n.Value.String()]
		if !ok {
			r.journal.on(v.line, key, "the alias names no anchor before it")
			return v
		}
		return known
	case *ast.TagNode:
		r.journal.on(v.line, key, "tags (!…) are not used here")
	case *ast.SequenceNode:
		v.form = list
		for i, item := range n.Values {
			v.items = append(v.items, r.value(item, fmt.Sprintf("%s[%d]", key, i), depth+1))
		}
	case *ast.MappingNode:
		v.form = table
		for _, pair := range n.Values {
			r.pair(v, pair, key, depth)
		}
	case *ast.MappingValueNode:
		v.form = table
		r.pair(v, n, key, depth)
	default:
		r.scalar(v, n, key)
	}
	return v
}

// pair adds one key of a table. Keys that come by a merge (<<) give way to those that are written out.
func (r *reader) pair(v *value, pair *ast.MappingValueNode, key string, depth int) {
	line := lineOf(pair.Key)
	if _, ok := pair.Key.(*ast.MergeKeyNode); ok {
		r.merge(v, r.value(pair.Value, key, depth+1), key)
		return
	}
	name, ok := keyText(pair.Key)
	if !ok {
		r.journal.on(line, key, "a key must be a plain text")
		return
	}
	path := join(key, name)
	e := entry{key: name, line: line, value: r.value(pair.Value, path, depth+1)}
	for i, old := range v.entries {
		if old.key != name {
			continue
		}
		if old.line != 0 {
			r.journal.on(line, path, fmt.Sprintf("this key is already on line %d", old.line))
		}
		v.entries[i] = e
		return
	}
	v.entries = append(v.entries, e)
}

// merge adds the entries of a table, or of a list of tables, that v has not. Their line is 0, the mark of a merged one.
func (r *reader) merge(v, from *value, key string) {
	switch from.form {
	case table:
		for _, e := range from.entries {
			if !v.has(e.key) {
				v.entries = append(v.entries, entry{key: e.key, value: e.value})
			}
		}
	case list:
		for _, item := range from.items {
			if item.form == table {
				r.merge(v, item, key)
			}
		}
	default:
		r.journal.on(from.line, key, "<< wants keys with values")
	}
}

func (v *value) has(key string) bool { return v.find(key) != nil }

// find returns a key's value, or nil.
func (v *value) find(key string) *value {
	for _, e := range v.entries {
		if e.key == key {
			return e.value
		}
	}
	return nil
}

func (r *reader) scalar(v *value, n ast.Node, key string) {
	switch n := n.(type) {
	case *ast.NullNode:
		return
	case *ast.BoolNode:
		v.form, v.text = truth, n.GetToken().Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		v.form, v.text = number, n.GetToken().Value
	case *ast.StringNode:
		v.form, v.text = text, n.Value
	case *ast.LiteralNode:
		v.form, v.text = text, n.Value.Value
	default:
		r.journal.on(v.line, key, "want a value")
		return
	}
	if v.form == text {
		r.expand(v, key)
	}
}

// expand replaces ${NAME}. A text that is nothing but one reference to a number may be used as a number.
func (r *reader) expand(v *value, key string) {
	v.text = marked.ReplaceAllStringFunc(v.text, func(s string) string {
		m := marked.FindStringSubmatch(s)
		if m[1] == markEscaped {
			return "${" + m[2] + "}"
		}
		given, ok := r.lookup(m[2])
		if !ok {
			r.journal.on(v.line, key, "environment variable "+m[2]+" is not set")
		}
		v.name = m[2]
		return given
	})
}

// keyText returns a key as it was written.
func keyText(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.MappingKeyNode:
		return keyText(n.Value)
	case *ast.StringNode:
		return marked.ReplaceAllString(n.Value, "$${$2}"), true
	case *ast.IntegerNode, *ast.BoolNode, *ast.FloatNode, *ast.NullNode:
		return n.GetToken().Value, true
	default:
		return "", false
	}
}

func lineOf(n ast.Node) int {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return 0
	}
	return n.GetToken().Position.Line
}
