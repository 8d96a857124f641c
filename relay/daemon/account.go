package daemon

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/config"
)

// counter is what the daemon does for one IM account's connector. It is made before anything is opened, and asks only
// later.
type counter struct {
	d    *Daemon
	name string
}

var (
	_ connector.Inlet = counter{}
	_ connector.Alarm = counter{}
	_ outbound.Alarm  = accountAlarms{}
)

// connectorWire is what the account's connector is made with.
func (d *Daemon) connectorWire(name string, im config.IM) connector.Wire {
	at := counter{d: d, name: name}
	w := connector.Wire{
		Account: name, Self: im.Self, Timeout: im.Send.Timeout, Inlet: at, Alarm: at, Log: zap.NewNop(),
	}
	if d != nil {
		w.Doer, w.Media, w.Sockets, w.Log = d.doer, d.media, d.doer.Sockets(), d.log.With(zap.String("im", name))
	}
	return w
}

// line is the connector of that account that is in force; nil: none is.
func (d *Daemon) line(account string) *line {
	if d == nil || d.plan.Load() == nil {
		return nil
	}
	return d.plan.Load().lines[account]
}

// Take implements connector.Inlet. What the format cannot read is not better the next time.
func (c counter) Take(ctx context.Context, body []byte) error {
	if most := int(c.d.plan.Load().cfg.Inbound.MaxBody); len(body) > most {
		c.refused(bodyTooLarge, len(body))
		return nil
	}
	_, err := c.d.acceptor.Accept(ctx, relay.Post{Account: c.name, Body: body, ContentType: "application/json"})
	refusal, ok := errors.AsType[*relay.Refusal](err)
	if !ok || refusal.RetryAfter > 0 || refusal.Code == relay.CodeStoreUnavailable || refusal.Code == relay.CodeShuttingDown {
		return err //nolint:wrapcheck // the connection only wants to know that it must give it again
	}
	c.refused(string(refusal.Code), len(body))
	return nil
}

// bodyTooLarge is the API's word for a body over inbound.max_body.
const bodyTooLarge = "body_too_large"

func (c counter) refused(code string, size int) {
	c.d.log.Warn("message refused", zap.String("event", "inbound.refused"), zap.String("im", c.name),
		zap.String("code", code), zap.Int("bytes", size))
}

// Raise implements connector.Alarm.
func (c counter) Raise(what, text string) { accountAlarms{c.d}.Raise(c.name, what, text) }

// Clear implements connector.Alarm.
func (c counter) Clear(what string) { accountAlarms{c.d}.Clear(c.name, what) }

// accountAlarms are the alarms of all accounts.
type accountAlarms struct{ d *Daemon }

// Raise implements outbound.Alarm.
func (a accountAlarms) Raise(account, what, text string) {
	if !a.d.alarms.raise(alarm{im: account, what: what}, text) {
		return
	}
	a.d.log.Error(text, zap.String("event", "im.alarm"), zap.String("im", account), zap.String("alarm", what))
}

// Clear implements outbound.Alarm.
func (a accountAlarms) Clear(account, what string) {
	if !a.d.alarms.clear(alarm{im: account, what: what}) {
		return
	}
	a.d.log.Info("alarm is over", zap.String("event", "im.alarm_over"), zap.String("im", account), zap.String("alarm", what))
}
