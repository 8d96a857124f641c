// Package config reads what an operator wrote: one YAML or JSON file, the environment and flags, strictly and with
// every mistake named at once. Start with [Load]; [Default] is what holds where nothing is said.
//
// It knows no adapter. The keys that belong to one kind of agent, connector or format stay in a [Section], which the
// adapter's own typed configuration is decoded from, as strictly. It compiles no expression, opens no listener and
// writes no file.
//
// No error of this package shows a value, only keys and lines: a value in the wrong place may be a secret.
package config
