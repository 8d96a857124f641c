// Package demo shows the whole loop on one machine and without any account: a real relay on a temporary store, a
// pretend IM that pushes WeChat messages and takes sends, and an echo agent that checks signatures and answers through
// the send API. Everything that it claims it checks.
//
// It is no load test and no example of how to run a relay: all of it is gone when it ends.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/imrelay/imrelay/cmd/imrelay/term"
)

// ErrNotHeld says that something that was claimed did not hold.
var ErrNotHeld = errors.New("something that the demo claims did not hold")

// Options say how the demo is shown.
type Options struct {
	// Out gets what is shown.
	Out io.Writer
	// Style colours it and draws arrows; plain: neither.
	Style term.Style
	// Chinese shows it in Chinese.
	Chinese bool
	// Once ends it after the round, without serving on.
	Once bool
	// Program is what to type for the command that runs this.
	Program string
	// Version is what the relay says of itself.
	Version string
}

// Run shows the round and then, unless Once is set, serves until ctx ends. It returns ErrNotHeld if a claim failed, and
// no error for ctx's end once the round is over.
func Run(ctx context.Context, o Options) (err error) {
	p := &printer{out: o.Out, style: o.Style, chinese: o.Chinese}
	s, err := newStage(ctx, o)
	if err != nil {
		return fmt.Errorf("set the stage: %w", err)
	}
	// What went wrong can be read up; who interrupts does not want to.
	defer func() { err = errors.Join(err, s.close(err != nil && ctx.Err() == nil)) }()
	p.opening(s)
	for i, scene := range scenes {
		began := time.Now()
		s.recorder.begin(began)
		held, err := scene.play(ctx, s, p)
		if err != nil {
			return fmt.Errorf("scene %d: %w", i+1, err)
		}
		p.scene(i+1, p.say(scene.title, scene.titleChinese), held)
	}
	if err := s.tidy(ctx, p); err != nil {
		return err
	}
	if !p.summary(s) {
		return ErrNotHeld
	}
	if o.Once {
		return nil
	}
	p.invitation(s, o.Program)
	s.recorder.follow(p.live)
	<-ctx.Done()
	s.recorder.follow(nil)
	p.farewell()
	return nil
}
