package outbound

import (
	"context"
	"sync"
	"time"
)

const (
	// An account that was logged out is asked for first after firstCheck, later and later up to lastCheck.
	firstCheck = 30 * time.Second
	lastCheck  = 5 * time.Minute
	checkBound = 15 * time.Second
	// Where nobody can be asked, one send finds out after firstProbe, the next after nextProbe, and later and later up to
	// lastProbe.
	firstProbe = 30 * time.Second
	nextProbe  = 5 * time.Minute
	lastProbe  = 30 * time.Minute
	// hintEvery is how often a hint that it is in makes somebody find out.
	hintEvery = 30 * time.Second
	// rampBegin is the part of its rate at which an account begins after a login.
	rampBegin = 0.25
)

// offline is the alarm of an account that is logged out.
const (
	alarmOffline = "offline"
	offlineText  = "the IM says that the account is logged out; nothing of it is sent until it is logged in again"
)

// presence is what this relay knows of an account's being logged in: it is until a send, or the IM's push, says otherwise.
// It is of this process: after a restart the first send finds out again, and there is no ramp.
type presence struct {
	away bool
	// since is when away was changed last; zero: never. Calls that began before it, or before from, say nothing: from is
	// when another connector took over.
	since, from time.Time
	// watched says that a goroutine asks; asks that it has somebody to ask.
	watched, asks bool
	// check is when it asks next, after so many times in vain.
	check  time.Time
	checks int
	// probe, if not zero, is when a send may find out, after so many others.
	probe  time.Time
	probes int
	// hinted is when there was a hint that it is in.
	hinted time.Time
}

// stale says that a call which began then says nothing of now.
func (p presence) stale(began time.Time) bool { return began.Before(p.since) || began.Before(p.from) }

// hold is what being away means for a send.
func (p presence) hold(now time.Time) hold {
	if !p.away {
		return hold{}
	}
	until := p.check
	if !p.probe.IsZero() && (!p.asks || p.probe.Before(until)) {
		until = p.probe
	}
	if !p.probe.IsZero() && !p.probe.After(now) {
		return hold{}
	}
	if soon := now.Add(time.Second); until.Before(soon) {
		until = soon
	}
	return hold{until: until, tell: errOffline}
}

// slowness is what a send costs more because the account has not been in for long.
func (p presence) slowness(ramp time.Duration, now time.Time) float64 {
	in := now.Sub(p.since)
	switch {
	case p.since.IsZero() || ramp <= 0:
		return 1
	case p.away:
		in = 0
	}
	return 1 / min(1, rampBegin+(1-rampBegin)*float64(in)/float64(ramp))
}

// later is when a send may find out, after so many others.
func (p presence) later(now time.Time) time.Time {
	if p.probes == 0 {
		return now.Add(firstProbe)
	}
	return now.Add(min(nextProbe<<min(p.probes-1, 8), lastProbe))
}

// probed takes note that a send finds out, and says whether it does.
func (p *presence) probed(now time.Time) bool {
	if p.away {
		p.probes++
		p.probe = p.later(now)
	}
	return p.away
}

// unasked takes note that the send which was to find out did not: the IM was not asked.
func (d *desk) unasked() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p := &d.presence; p.away && p.probes > 0 && !p.probe.IsZero() {
		p.probes--
		p.probe = time.Now()
		d.stirred()
	}
}

// hint takes note that it may be in: whoever can find out does so now.
func (d *desk) hint() {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, now := &d.presence, time.Now()
	if !p.away || !p.hinted.IsZero() && now.Sub(p.hinted) < hintEvery {
		return
	}
	p.hinted = now
	if p.asks {
		p.check = now
	}
	if !p.asks || !p.probe.IsZero() {
		p.probe = now
	}
	d.stirred()
}

// renew takes note that another connector has taken over, or none: what is known is of the one before. It says whether it
// was away.
func (d *desk) renew() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := &d.presence
	was := p.away
	p.from = time.Now()
	if was {
		*p = presence{since: p.from, from: p.from, watched: p.watched}
		d.out.Store(false)
		d.stirred()
	}
	return was
}

// logOut takes note that the account was logged out when a call began. It says whether that is news, and whether somebody
// has to begin to watch.
func (d *desk) logOut(began time.Time, asks bool) (news, watch bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.presence.away || d.presence.stale(began) {
		return false, false
	}
	now := time.Now()
	watch = !d.presence.watched
	d.presence = presence{
		away: true, since: now, from: d.presence.from, watched: true, asks: asks, check: now.Add(d.shaken(firstCheck)),
	}
	d.out.Store(true)
	if !asks {
		d.presence.probe = d.presence.later(now)
	}
	h := d.presence.hold(now)
	for _, r := range d.rows {
		d.dismiss(r, h, func(*ticket) bool { return true })
	}
	return true, watch
}

// logIn takes note that the account was logged in when a call began, and says whether that is news.
func (d *desk) logIn(began time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.presence.away || d.presence.stale(began) {
		return false
	}
	d.presence = presence{since: time.Now(), from: d.presence.from, watched: d.presence.watched}
	d.out.Store(false)
	d.stirred()
	return true
}

// looked takes note that it was not known to be in when somebody began to ask; asked says that there was somebody, known
// that he knew.
func (d *desk) looked(began time.Time, asked, known bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := &d.presence
	if !p.away || p.stale(began) {
		return
	}
	now := time.Now()
	p.asks = asked
	p.checks++
	p.check = now.Add(d.shaken(min(firstCheck<<min(p.checks, 8), lastCheck)))
	switch {
	case known:
		p.probe = time.Time{}
	case p.probe.IsZero():
		p.probe = p.later(now)
	}
}

// shaken is the time, more or less, so that relays and accounts do not all ask at once.
func (d *desk) shaken(t time.Duration) time.Duration {
	return time.Duration((0.8 + 0.4*d.random()) * float64(t))
}

// watching says when to ask next; the watch is over when the account is in.
func (d *desk) watching() (check time.Time, changed <-chan struct{}, away bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.presence.away {
		d.presence.watched = false
	}
	return d.presence.check, d.changed, d.presence.away
}

func (d *desk) away() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.presence.away
}

// Offline says that the account is logged out: nothing of it is called until it is in again. Callers' sends are refused,
// queued ones wait. The Sender finds out by itself when it is in; Online makes it quicker. An account that is not
// configured is none.
func (s *Sender) Offline(account string) {
	if _, ok := s.table.Load().accounts[account]; ok {
		s.loggedOut(s.desk(account), time.Now())
	}
}

// Online says that the account is logged in. If it was out, its sends go on, slower at first: see [Limits].
func (s *Sender) Online(account string) {
	if _, ok := s.table.Load().accounts[account]; ok {
		s.loggedIn(s.desk(account), time.Now())
	}
}

// Hint says that the account may be logged in: a message of it came in. If it is held to be out, the IM is asked, or the
// next send finds out. It is quick when the account is in.
func (s *Sender) Hint(account string) {
	s.mu.Lock()
	d := s.desks[account]
	s.mu.Unlock()
	if d != nil && d.out.Load() {
		d.hint()
	}
}

// loggedOut takes note that the account was logged out when a call began.
func (s *Sender) loggedOut(d *desk, began time.Time) {
	news, watch := d.logOut(began, s.checker(d) != nil)
	if news {
		s.tell(d)
	}
	if watch && s.begin() == nil {
		go func() {
			defer s.active.Done()
			s.watch(d)
		}()
	}
}

// loggedIn takes note that the account was logged in when a call began.
func (s *Sender) loggedIn(d *desk, began time.Time) {
	if d.logIn(began) {
		s.tell(d)
	}
}

// tell tells the alarm how things are now.
func (s *Sender) tell(d *desk) {
	if s.alarm == nil {
		return
	}
	d.telling.Lock()
	defer d.telling.Unlock()
	if d.away() {
		s.alarm.Raise(d.account, alarmOffline, offlineText)
	} else {
		s.alarm.Clear(d.account, alarmOffline)
	}
}

func (s *Sender) checker(d *desk) Checker {
	c, _ := s.table.Load().accounts[d.account].Connector.(Checker)
	return c
}

// renewed takes note that another connector has taken over the account, or none: its first send finds out anew.
func (s *Sender) renewed(d *desk) {
	if d.renew() {
		s.tell(d)
	}
}

// watch asks for the account until it is in, another's or gone, or the Sender is closing.
func (s *Sender) watch(d *desk) {
	for {
		if _, ok := s.table.Load().accounts[d.account]; !ok {
			s.renewed(d)
		}
		check, changed, away := d.watching()
		if !away {
			return
		}
		if left := time.Until(check); left > 0 {
			if err := s.wait(context.Background(), changed, left); err != nil {
				return
			}
			continue
		}
		began := time.Now()
		c := s.checker(d)
		online, known := s.ask(c)
		if online {
			s.loggedIn(d, began)
			continue
		}
		d.looked(began, c != nil, known)
	}
}

// ask asks whether the account is in; a closing Sender does not wait for the answer.
func (s *Sender) ask(c Checker) (online, known bool) {
	if c == nil {
		return false, false
	}
	ctx, cancel := context.WithTimeout(context.Background(), checkBound)
	defer cancel()
	var closing sync.WaitGroup
	defer closing.Wait()
	answered := make(chan struct{})
	defer close(answered)
	closing.Go(func() {
		select {
		case <-s.closing:
			cancel()
		case <-answered:
		}
	})
	online, err := c.Online(ctx)
	return online && err == nil, err == nil
}

func errOffline(after time.Duration) *Error {
	return refuseFor(CodeUpstreamUnavailable, after, "the account is logged out of the IM; it was not sent, repeat it later")
}
