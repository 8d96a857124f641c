package demo

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// claim is something that must hold.
type claim struct {
	text string
	ok   bool
}

// shown is a scene after it was played.
type shown struct {
	steps  []step
	lines  []string
	claims []claim
}

// scene is one act of the round.
type scene struct {
	title, titleChinese string
	play                func(ctx context.Context, s *stage, p *printer) (shown, error)
}

var scenes = []scene{
	{"A private message", "一条私聊消息", private},
	{"A group: only who is mentioned answers", "群聊：被 @ 才回答", group},
	{"The same message twice", "同一条消息来了两次", twice},
	{"A burst of several conversations", "多个会话同时刷屏", burst},
	{"The agent is down", "智能体掉线", outage},
}

// one pushes a message and waits until its answer has reached the IM.
func one(ctx context.Context, s *stage, m message) (answered, error) {
	before := len(s.im.got(m.to()))
	a, err := s.im.push(ctx, m, false)
	if err != nil || a.Ignored != "" || a.Duplicate {
		return a, err
	}
	return a, s.recorder.await(ctx, "answer", func() bool { return len(s.im.got(m.to())) > before })
}

// to is the conversation of the message.
func (m message) to() string {
	if m.in != "" {
		return m.in
	}
	return m.from
}

// delivered are the claims that hold for every delivered message.
func (s *stage) delivered(p *printer, m message) []claim {
	var got []arrival
	for _, a := range s.agent.got(m.to()) {
		if bytes.Equal(a.body, m.body()) {
			got = append(got, a)
		}
	}
	signed := !slices.ContainsFunc(got, func(a arrival) bool { return a.signed != nil })
	answers := slices.DeleteFunc(s.im.got(m.to()), func(x sent) bool { return x.ReplyTo != fmt.Sprint(m.id) })
	return []claim{
		{p.say("the agent got the very bytes, once", "智能体收到的字节一个不差，只收到一次"), len(got) == 1},
		{p.say("the signature is right", "签名正确"), len(got) == 1 && signed},
		{p.say("one answer reached the IM, quoting a 64-bit id", "一条回复到达 IM，64 位消息号没有走样"), len(answers) == 1},
	}
}

func private(ctx context.Context, s *stage, p *printer) (shown, error) {
	m := s.write(alice, "今天天气怎么样 ☀️")
	if _, err := one(ctx, s, m); err != nil {
		return shown{}, err
	}
	return shown{steps: s.recorder.taken(), claims: s.delivered(p, m)}, nil
}

func group(ctx context.Context, s *stage, p *printer) (shown, error) {
	chat := s.write(bob, "晚上吃什么？")
	chat.in = room
	ignored, err := one(ctx, s, chat)
	if err != nil {
		return shown{}, err
	}
	m := s.write(alice, "@小助手\u2005帮我们选一家")
	m.in, m.mentioned = room, true
	if _, err := one(ctx, s, m); err != nil {
		return shown{}, err
	}
	claims := []claim{{
		p.say("the chatter was left out: not_mentioned", "没有 @ 的闲聊被过滤：not_mentioned"),
		ignored.Ignored == "not_mentioned",
	}}
	return shown{steps: s.recorder.taken(), claims: append(claims, s.delivered(p, m)...)}, nil
}

func twice(ctx context.Context, s *stage, p *printer) (shown, error) {
	m := s.write(bob, "好的")
	first, err := one(ctx, s, m)
	if err != nil {
		return shown{}, err
	}
	again, err := one(ctx, s, m)
	if err != nil {
		return shown{}, err
	}
	same := s.write(bob, "好的")
	third, err := one(ctx, s, same)
	if err != nil {
		return shown{}, err
	}
	claims := append(s.delivered(p, m), claim{
		p.say("the repeat was known, by the first one's event id", "重复的被认出来，事件号还是第一次的"),
		again.Duplicate && again.EventID == first.EventID,
	}, claim{
		p.say("the same text with another id is no repeat", "同样的文字、不同的消息号，不算重复"),
		!third.Duplicate && third.EventID != first.EventID && s.delivered(p, same)[0].ok,
	})
	return shown{steps: s.recorder.taken(), claims: claims}, nil
}

// The size of the burst.
const (
	burstLanes = 4
	burstEach  = 5
)

func burst(ctx context.Context, s *stage, p *printer) (shown, error) {
	lanes := make([][]message, burstLanes)
	for n := range burstEach {
		for i := range lanes {
			lanes[i] = append(lanes[i], s.write(fmt.Sprintf("wxid_friend%c", 'a'+i), fmt.Sprintf("%c%d", 'A'+i, n+1)))
		}
	}
	began, seen := time.Now(), len(s.agent.got(""))
	if err := pushLanes(ctx, s, lanes); err != nil {
		return shown{}, err
	}
	complete := func() bool {
		return !slices.ContainsFunc(lanes, func(l []message) bool { return len(s.im.got(l[0].to())) < burstEach })
	}
	if err := s.recorder.await(ctx, "answers", complete); err != nil {
		return shown{}, err
	}
	took := time.Since(began)
	var order []string
	for _, a := range s.agent.got("")[seen:] {
		order = append(order, a.text)
	}
	exact, ordered, replies := true, true, true
	for _, l := range lanes {
		exact = exact && exactly(s.agent.got(l[0].to()), l)
		ordered = ordered && inOrder(s.agent.got(l[0].to()), l)
		replies = replies && repliesInOrder(s.im.got(l[0].to()), l)
	}
	total := burstLanes * burstEach
	return shown{
		lines: []string{
			fmt.Sprintf(p.say("%d messages in %d conversations, %d ms; they came to the agent as", "%d 条消息，%d 个会话，%d 毫秒；到达智能体的顺序"),
				total, burstLanes, took.Milliseconds()),
			p.lanes(order),
		},
		claims: []claim{
			{p.say("all of them came, byte for byte and signed", "全部到达，逐字节一致，签名正确"), exact},
			{p.say("each conversation in its order, none waiting for another", "每个会话内部有序，会话之间互不等待"), ordered},
			{p.say("the answers too", "回复也一样有序"), replies},
		},
	}, nil
}

// pushLanes pushes all lanes at once, each in its order.
func pushLanes(ctx context.Context, s *stage, lanes [][]message) error {
	failed := make([]error, len(lanes))
	var pushing sync.WaitGroup
	for i, lane := range lanes {
		pushing.Go(func() {
			for _, m := range lane {
				if _, err := s.im.push(ctx, m, true); err != nil {
					failed[i] = err
					return
				}
			}
		})
	}
	pushing.Wait()
	for _, err := range failed {
		if err != nil {
			return err
		}
	}
	return nil
}

// exactly says that the arrivals are the messages, each once, whole and signed.
func exactly(got []arrival, want []message) bool {
	if len(got) != len(want) {
		return false
	}
	return !slices.ContainsFunc(want, func(m message) bool {
		return !slices.ContainsFunc(got, func(a arrival) bool { return a.signed == nil && bytes.Equal(a.body, m.body()) })
	})
}

// inOrder says that the arrivals are in the order of the messages.
func inOrder(got []arrival, want []message) bool {
	return slices.EqualFunc(got, want, func(a arrival, m message) bool { return a.text == m.text })
}

func repliesInOrder(got []sent, want []message) bool {
	return slices.EqualFunc(got, want, func(x sent, m message) bool { return strings.HasSuffix(x.Text, m.text) })
}

func outage(ctx context.Context, s *stage, p *printer) (shown, error) {
	if _, err := s.settled(ctx); err != nil {
		return shown{}, err
	}
	s.recorder.begin(time.Now())
	if err := s.agent.stop(); err != nil {
		return shown{}, err
	}
	s.recorder.note(agent, agent, p.say("gone: its port is closed", "端口关了，连不上"))
	m := s.write(alice, "你还在吗？")
	a, err := s.im.push(ctx, m, false)
	if err != nil {
		return shown{}, err
	}
	nothing := len(s.im.got(alice))
	if err := s.agent.start(ctx); err != nil {
		return shown{}, err
	}
	s.recorder.note(agent, agent, p.say("back", "回来了"))
	if err := s.recorder.await(ctx, "answer", func() bool { return len(s.im.got(alice)) > nothing }); err != nil {
		return shown{}, err
	}
	claims := []claim{{
		p.say("202: it was on disk, and no attempt was spent", "202：已落盘，而且不消耗重试次数"),
		a.status == 202 && a.Queued && a.Attempts == 0,
	}}
	return shown{steps: s.recorder.taken(), claims: append(claims, s.delivered(p, m)...)}, nil
}

// tidy looks into the relay's own books when all is over.
func (s *stage) tidy(ctx context.Context, p *printer) error {
	c, err := s.settled(ctx)
	if err != nil {
		return fmt.Errorf("ask the relay: %w", err)
	}
	p.books(c.Delivered, c.Queued+c.Delivering+c.Parked, c.Dead)
	return nil
}
