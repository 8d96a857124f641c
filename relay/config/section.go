package config

import (
	"fmt"
	"os"
	"reflect"
	"strings"
)

// Section holds the keys that configuration does not know because they belong to one kind of agent, connector or
// format. It prints as its keys and never shows a value. The zero Section has no keys.
type Section struct{ s *section }

type section struct {
	key     string   // where it stands: agents.openclaw
	common  []string // the keys beside it that configuration knows, for "did you mean"
	entries []entry
	path    string // the file
}

// Keys returns the keys in the order of the file.
func (s Section) Keys() []string {
	if s.s == nil {
		return nil
	}
	keys := make([]string, len(s.s.entries))
	for i, e := range s.s.entries {
		keys[i] = e.key
	}
	return keys
}

// Decode fills the struct that into points to, as strictly as the rest of the file is read: every key must be one of
// its yaml tags. Fields may be of the types that Config uses; secret.Text takes file:PATH. What is not given is left as
// it is. Its error is an [*Error] with every mistake.
func (s Section) Decode(into any) error {
	target := reflect.ValueOf(into)
	if target.Kind() != reflect.Pointer || target.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("decode section: want a pointer to a struct, got %T", into)
	}
	if s.s == nil {
		return nil
	}
	j := newJournal(s.s.path)
	d := decoder{journal: j, common: s.s.common}
	d.table(s.s.entries, target.Elem(), s.s.key)
	return j.err()
}

// String returns the keys without their values.
func (s Section) String() string { return "[" + strings.Join(s.Keys(), " ") + "]" }

// GoString returns the keys without their values.
func (s Section) GoString() string { return "config.Section" + s.String() }

// MarshalText returns the keys without their values.
func (s Section) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// find returns a key's value, or nil.
func (s Section) find(key string) *value {
	if s.s == nil {
		return nil
	}
	return (&value{entries: s.s.entries}).find(key)
}

// secrets returns the texts of the keys that hold secrets by their name, with their paths.
func (s Section) secrets() map[string]string {
	found := map[string]string{}
	if s.s == nil {
		return found
	}
	for _, e := range s.s.entries {
		if !secretive(e.key) {
			continue
		}
		path := join(s.s.key, e.key)
		if e.value.scalar() {
			found[path] = e.value.text
		}
		for i, item := range e.value.items {
			found[fmt.Sprintf("%s[%d]", path, i)] = item.text
		}
	}
	return found
}

// secretive says that a kind's key holds a secret, judged by its name.
func secretive(key string) bool {
	for _, word := range []string{"secret", "token", "key", "password"} {
		if key == word || strings.HasSuffix(key, "_"+word) || key == word+"s" || strings.HasSuffix(key, "_"+word+"s") {
			return true
		}
	}
	return key == callbackPath
}

// callbackPath is a secret that is not called one: who knows it may speak for the agent.
const callbackPath = "callback_path"

// secretFile marks a secret that stands in a file of its own.
const secretFile = "file:"

// maxSecret bounds such a file.
const maxSecret = 64 << 10

// openSecret returns a secret as it is meant: itself, or the content of the file that it names without the newline at
// the end. An error names neither the secret nor the file.
func openSecret(s string) (string, error) {
	path, ok := strings.CutPrefix(s, secretFile)
	if !ok {
		return s, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("the secret's file cannot be read: %w", bare(err))
	}
	if !info.Mode().IsRegular() || info.Size() > maxSecret {
		return "", fmt.Errorf("the secret's file is not a file of at most %s", Size(maxSecret))
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("the secret's file cannot be read: %w", bare(err))
	}
	content := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if content == "" {
		return "", fmt.Errorf("the secret's file is empty")
	}
	return content, nil
}
