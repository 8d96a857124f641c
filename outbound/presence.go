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
	// Where nobody can be asked, one send finds out after firstProbe, the next ones later and later up to lastProbe.
	firstProbe = 5 * time.Minute
	lastProbe  = 30 * time.Minute
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
	// since is when away was changed last; zero: never.
	since time.Time
	// watched says that a goroutine asks; asks that it has somebody to ask.
	watched, asks bool
	// check is when it asks next, after so many times in vain.
	check  time.Time
	checks int
	// probe, if not zero, is when a send may find out, after so many others.
	probe  time.Time
	probes int
}

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

// probed takes note that a send finds out.
func (p *presence) probed(now time.Time) {
	if p.away {
		p.probes++
		p.probe = now.Add(min(firstProbe<<min(p.probes, 8), lastProbe))
	}
}

// logOut takes note that the account was logged out when a call began. It says whether that is news, and whether somebody
// has to begin to watch.
func (d *desk) logOut(began time.Time, asks bool) (news, watch bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.presence.away || began.Before(d.presence.since) {
		return false, false
	}
	now := time.Now()
	watch = !d.presence.watched
	d.presence = presence{away: true, since: now, watched: true, asks: asks, check: now.Add(d.shaken(firstCheck))}
	if !asks {
		d.presence.probe = now.Add(firstProbe)
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
	if !d.presence.away || began.Before(d.presence.since) {
		return false
	}
	d.presence = presence{since: time.Now(), watched: d.presence.watched}
	d.stirred()
	return true
}

// looked takes note that it is not known to be in; asked says that there was somebody to ask, known that he knew.
func (d *desk) looked(asked, known bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := &d.presence
	now := time.Now()
	p.asks = asked
	p.checks++
	p.check = now.Add(d.shaken(min(firstCheck<<min(p.checks, 8), lastCheck)))
	switch {
	case known:
		p.probe = time.Time{}
	case p.probe.IsZero():
		p.probe = now.Add(min(firstProbe<<min(p.probes, 8), lastProbe))
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

// watch asks for the account until it is in or the Sender is closing.
func (s *Sender) watch(d *desk) {
	for {
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
		d.looked(c != nil, known)
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
