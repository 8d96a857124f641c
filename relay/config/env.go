package config

import "strings"

// EnvNames are the variables that make a configuration without a file, in the order in which they are told: an account
// wechat (format wechat), an agent openclaw, and a client openclaw. With a file they are read through ${NAME} only.
func EnvNames() []string {
	return []string{
		"OPENCLAW_WEBHOOK_URL", "OPENCLAW_WEBHOOK_SECRET", "IM_BOT_TOKEN", "IM_SEND_URL", "IM_SEND_TOKEN", "IM_SELF",
		"IM_INBOUND_TOKEN", "IM_ALLOW",
	}
}

// defaultAgentURL is where OpenClaw's plugin listens.
const defaultAgentURL = "http://127.0.0.1:18789/wechat_abot/webhook"

// environment builds values from variables.
type environment struct {
	lookup  Lookup
	journal *journal
}

// fromEnv makes the file that the variables stand for.
func fromEnv(lookup Lookup, j *journal) *value {
	env := environment{lookup, j}
	account := tableOf(
		entry{key: "format", value: &value{form: text, text: "wechat"}},
		env.optional("self", "IM_SELF"),
		env.optional("token", "IM_INBOUND_TOKEN"),
		env.networks("allow", "IM_ALLOW"),
	)
	if send := tableOf(env.optional("url", "IM_SEND_URL"), env.optional("token", "IM_SEND_TOKEN")); send.has("url") {
		send.entries = append(send.entries, entry{key: "kind", value: &value{form: text, text: "http"}})
		account.entries = append(account.entries, entry{key: "send", value: send})
	} else if send.has("token") {
		j.on(0, "IM_SEND_TOKEN", "is of no use without IM_SEND_URL")
	}
	url := env.optional("url", "OPENCLAW_WEBHOOK_URL")
	if url.value == nil {
		url = entry{key: "url", value: &value{form: text, text: defaultAgentURL}}
	}
	agent := tableOf(
		entry{key: "kind", value: &value{form: text, text: "openclaw"}},
		url,
		env.required("secret", "OPENCLAW_WEBHOOK_SECRET"),
	)
	clients := tableOf()
	if token := tableOf(env.required("token", "IM_BOT_TOKEN")); token.has("token") {
		clients = tableOf(entry{key: "openclaw", value: token})
	}
	return tableOf(
		entry{key: "ims", value: tableOf(entry{key: "wechat", value: account})},
		entry{key: "agents", value: tableOf(entry{key: "openclaw", value: agent})},
		entry{key: "clients", value: clients},
	)
}

// optional is a key that a variable gives; without the variable it has no value.
func (e environment) optional(key, name string) entry {
	given, ok := e.lookup(name)
	if !ok || given == "" {
		return entry{key: key}
	}
	return entry{key: key, value: &value{form: text, text: given, name: name}}
}

// required is a key whose variable must be set.
func (e environment) required(key, name string) entry {
	got := e.optional(key, name)
	if got.value == nil {
		e.journal.on(0, name, "is not set")
	}
	return got
}

// networks is a list that a variable gives, separated by commas or spaces.
func (e environment) networks(key, name string) entry {
	got := e.optional(key, name)
	if got.value == nil {
		return got
	}
	all := &value{form: list, name: name}
	for _, s := range strings.FieldsFunc(got.value.text, func(r rune) bool { return r == ',' || r == ' ' }) {
		all.items = append(all.items, &value{form: text, text: s, name: name})
	}
	got.value = all
	return got
}

// tableOf makes a table of the entries that have a value.
func tableOf(entries ...entry) *value {
	v := &value{form: table}
	for _, e := range entries {
		if e.value != nil {
			v.entries = append(v.entries, e)
		}
	}
	return v
}
