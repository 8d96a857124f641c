package demo

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/imrelay/imrelay/cmd/imrelay/term"
)

// printer shows the play. It counts the claims that did not hold.
type printer struct {
	out     io.Writer
	style   term.Style
	chinese bool

	held, broken int
}

// say chooses the language.
func (p *printer) say(english, chinese string) string {
	if p.chinese {
		return chinese
	}
	return english
}

// drawn chooses between what a terminal shows and what a file should hold.
func (p *printer) drawn(terminal, plain string) string {
	if p.style.Plain() {
		return plain
	}
	return terminal
}

func (p *printer) line(parts ...string) { fmt.Fprintln(p.out, strings.Join(parts, "")) }

// name is an actor in three columns of the same width.
func (p *printer) name(a actor) string {
	names := [...]string{im: "IM", relay: "relay", agent: "agent"}
	dress := [...]func(string) string{im: p.style.Green, relay: p.style.Bold, agent: p.style.Cyan}
	return dress[a](term.Pad(names[a], 5))
}

func (p *printer) opening(s *stage) {
	p.line(p.style.Bold("imrelay demo"), p.style.Dim(p.say(
		"  a real relay, a pretend WeChat and an echo agent on this machine", "  真实的 relay，加一个假微信和一个复读智能体")))
	p.line()
	p.line("  ", p.name(im), p.drawn(" ──▶ ", " --> "), p.name(relay), p.drawn(" ──▶ ", " --> "), p.name(agent))
	p.line("        ", p.drawn("◀── ", "<-- "), p.style.Dim(p.say("answers", "回复")), p.drawn(" ◀──", " <--"))
	p.line()
	p.line(p.style.Dim("  relay  "), s.daemon.URL())
	p.line(p.style.Dim("  log    "), s.log())
}

// scene shows one act: its title, what happened when, and what held.
func (p *printer) scene(number int, title string, s shown) {
	p.line()
	p.line(p.style.Bold(fmt.Sprintf("%d  %s", number, title)))
	for i, st := range s.steps {
		p.line(p.rail(i, len(s.steps)), p.step(st))
	}
	for _, l := range s.lines {
		p.line("   ", l)
	}
	for _, c := range s.claims {
		p.claim(c)
	}
}

// rail is the line at the left that holds a message's way together.
func (p *printer) rail(i, n int) string {
	mark := p.drawn("│", "|")
	switch i {
	case 0:
		mark = p.drawn("╭", "|")
	case n - 1:
		mark = p.drawn("╰", "|")
	}
	return " " + p.style.Dim(mark) + " "
}

func (p *printer) step(s step) string {
	at := p.style.Dim(fmt.Sprintf("%7.1f ms", float64(s.at.Microseconds())/float64(time.Millisecond/time.Microsecond)))
	text := term.Clean(s.text)
	if s.from == s.to {
		return at + "  " + p.name(s.from) + "  " + p.style.Yellow(text)
	}
	return at + "  " + p.name(s.from) + p.drawn(" ──▶ ", " --> ") + p.name(s.to) + "  " + text
}

func (p *printer) claim(c claim) {
	if c.ok {
		p.held++
		p.line("   ", p.style.Green(p.drawn("✓", "ok")), " ", c.text)
		return
	}
	p.broken++
	p.line("   ", p.style.Red(p.drawn("✗", "NOT")), " ", c.text)
}

// lanes shows an order of arrival with a colour for each conversation.
func (p *printer) lanes(order []string) string {
	colours := []func(string) string{p.style.Cyan, p.style.Green, p.style.Yellow, p.style.Red}
	out := make([]string, len(order))
	for i, text := range order {
		out[i] = colours[int(text[0]-'A')%len(colours)](text)
	}
	return strings.Join(out, " ")
}

// books shows what the relay itself counts.
func (p *printer) books(delivered, open, dead int) {
	p.line()
	p.line(p.style.Bold(p.say("In the relay's books", "账目")))
	p.claim(claim{
		fmt.Sprintf(p.say("%d delivered, %d on their way, %d dead", "已送达 %d，在途 %d，死信 %d"), delivered, open, dead),
		delivered > 0 && open == 0 && dead == 0,
	})
}

// summary says whether everything held.
func (p *printer) summary(s *stage) bool {
	p.line()
	if p.broken == 0 {
		p.line(p.style.Green(fmt.Sprintf(p.say("All %d claims held.", "%d 项检查全部成立。"), p.held)))
		return true
	}
	p.line(p.style.Red(fmt.Sprintf(p.say("%d of %d claims did not hold; the log is kept.", "%d 项检查不成立（共 %d 项），日志已保留。"),
		p.broken, p.held+p.broken)))
	p.line("  ", s.log())
	return false
}

// invitation tells how to play along.
func (p *printer) invitation(s *stage, program string) {
	push := `{"NewMsgId":'$RANDOM',"MsgType":1,"FromUserName":{"string":"` + alice + `"},` +
		`"ToUserName":{"string":"` + self + `"},"Content":{"string":"hi"}}`
	p.line()
	p.line(p.say("It goes on running. Try it from another terminal:", "它会一直运行。换个终端试试："))
	p.line()
	for _, command := range []string{
		"curl -s " + s.daemon.URL() + "/im/inbound -d '" + push + "'",
		program + " events list --config " + s.config(),
		program + " send --config " + s.config() + " --to " + alice + " --text hello",
	} {
		p.line("  ", p.style.Cyan(command))
	}
	p.line()
	p.line(p.style.Dim(p.say("Ctrl-C ends it and removes everything.", "按 Ctrl-C 结束并清理。")))
	p.line()
}

// live shows a step as it happens.
func (p *printer) live(s step) {
	s.at = 0
	now := p.style.Dim(time.Now().Format("15:04:05.000"))
	p.line(" ", now, strings.TrimPrefix(p.step(s), p.style.Dim("    0.0 ms")))
}

func (p *printer) farewell() {
	p.line()
	p.line(p.say("Bye.", "再见。"))
}
