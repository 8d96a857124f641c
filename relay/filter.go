package relay

import (
	"fmt"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/vm"
)

// filterMemory bounds what one evaluation may allocate, in the expression engine's own unit.
const filterMemory = 10_000

// filterEnv is what an expression sees.
type filterEnv struct {
	Kind         string `expr:"kind"`
	Text         string `expr:"text"`
	Sender       string `expr:"sender"`
	Nickname     string `expr:"nickname"`
	Conversation string `expr:"conversation"`
	IM           string `expr:"im"`
	Group        bool   `expr:"group"`
	Mentioned    bool   `expr:"mentioned"`
}

// Filter is a compiled expression over an envelope: kind, text, sender, nickname, conversation, im, group, mentioned. A
// nil Filter lets everything through.
type Filter struct{ program *vm.Program }

// NewFilter compiles an expression that yields a bool; the empty one is a nil Filter.
func NewFilter(source string) (*Filter, error) {
	if source == "" {
		return nil, nil //nolint:nilnil // the empty filter is the nil filter, and is no error
	}
	p, err := expr.Compile(source, expr.Env(filterEnv{}), expr.AsBool())
	if err != nil {
		return nil, fmt.Errorf("compile expression: %w", err)
	}
	return &Filter{program: p}, nil
}

// Match says whether the envelope of the account passes. An expression that cannot be evaluated matches nothing.
func (f *Filter) Match(account string, e Envelope) bool {
	if f == nil {
		return true
	}
	return f.eval(filterEnv{
		Kind: e.Kind, Text: e.Text, Sender: e.Sender, Nickname: e.Nickname, Conversation: e.Conversation,
		IM: account, Group: e.Group, Mentioned: e.Mentioned,
	})
}

func (f *Filter) eval(env filterEnv) bool {
	machine := vm.VM{MemoryBudget: filterMemory}
	out, err := machine.Run(f.program, env)
	pass, ok := out.(bool)
	return err == nil && ok && pass
}

// why says for what reason a message that does not pass is left out: a mention would have let it through, or not.
func (f *Filter) why(account string, e Envelope) Ignored {
	if !e.Mentioned {
		e.Mentioned = true
		if f.Match(account, e) {
			return IgnoredNotMentioned
		}
	}
	return IgnoredFiltered
}
