package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/secret"
)

// maxReply bounds what the client reads of one answer: an event's body comes in base64.
const maxReply = 64 << 20

// Client speaks the admin API of a running relay. Its methods are those of [queue.Mender], [queue.Pauser] and of the
// looking part of [queue.Inspector], with the same meaning, so that what works on a store works on a relay. Errors of
// the API are [*Error] and wrap the queue's sentinels. It is safe for concurrent use.
type Client struct {
	base  string
	token secret.Text
	http  *http.Client
}

var (
	_ queue.Mender = (*Client)(nil)
	_ queue.Pauser = (*Client)(nil)
)

// NewClient returns a client for the relay at base, "http://127.0.0.1:8088". httpClient bounds the time that a call may
// take.
func NewClient(base string, token secret.Text, httpClient *http.Client) *Client {
	return &Client{base: strings.TrimRight(base, "/"), token: token, http: httpClient}
}

// Get returns the event with its body.
func (c *Client) Get(ctx context.Context, id string) (queue.Job, error) {
	var out eventBodyJSON
	if err := c.get(ctx, pathEvents+"/"+url.PathEscape(id), &out); err != nil {
		return queue.Job{}, fmt.Errorf("get event: %w", err)
	}
	j, err := out.job()
	j.Body = out.Body
	return j, err
}

// List returns a page of events.
func (c *Client) List(ctx context.Context, f queue.Filter) (queue.Page, error) {
	var out pageJSON
	if err := c.get(ctx, pathEvents+"?"+filterQuery(f).Encode(), &out); err != nil {
		return queue.Page{}, fmt.Errorf("list events: %w", err)
	}
	var page queue.Page
	for _, e := range out.Events {
		j, err := e.job()
		if err != nil {
			return queue.Page{}, err
		}
		page.Jobs = append(page.Jobs, j)
	}
	if out.Next == "" {
		return page, nil
	}
	next, err := strconv.ParseUint(out.Next, 10, 64)
	if err != nil {
		return queue.Page{}, fmt.Errorf("read next page: %w", err)
	}
	page.Next = next
	return page, nil
}

// Agents returns the agents as they stand.
func (c *Client) Agents(ctx context.Context) ([]AgentState, error) {
	var out agentsJSON
	if err := c.get(ctx, pathAgents, &out); err != nil {
		return nil, fmt.Errorf("list agents: %w", err)
	}
	return out.Agents, nil
}

// Accounts returns the IM accounts as they stand.
func (c *Client) Accounts(ctx context.Context) ([]AccountState, error) {
	var out accountsJSON
	if err := c.get(ctx, pathAccounts, &out); err != nil {
		return nil, fmt.Errorf("list accounts: %w", err)
	}
	return out.Accounts, nil
}

// Ready returns what readyz says, and whether the relay is ready.
func (c *Client) Ready(ctx context.Context) (lines []HealthLine, ready bool, err error) {
	var out readyJSON
	err = c.get(ctx, pathReady, &out)
	if err != nil && out.Checks == nil {
		return nil, false, fmt.Errorf("ask readiness: %w", err)
	}
	return out.Checks, out.Ready, nil
}

// Revive replays dead letters.
func (c *Client) Revive(ctx context.Context, ids []string, gap time.Duration) (int, error) {
	n, _, err := c.replay(ctx, replayJSON{selection: selection{IDs: ids}, Rate: rateOf(gap)})
	return n, err
}

// ReviveAll replays the dead letters that the filter's Agent, Account, Conversation and Since let through. more says
// that there were too many for one call.
func (c *Client) ReviveAll(ctx context.Context, f queue.Filter, gap time.Duration) (n int, more bool, err error) {
	return c.replay(ctx, replayJSON{selection: allOf(f), Rate: rateOf(gap)})
}

func (c *Client) replay(ctx context.Context, in replayJSON) (n int, more bool, err error) {
	var out movedJSON
	if err := c.post(ctx, pathReplay, in, &out); err != nil {
		return 0, false, fmt.Errorf("replay events: %w", err)
	}
	return count(out.Replayed), out.More, nil
}

// Drop removes dead and parked events.
func (c *Client) Drop(ctx context.Context, ids []string) (int, error) {
	n, _, err := c.drop(ctx, selection{IDs: ids})
	return n, err
}

// DropAll removes the dead letters that the filter lets through, as [Client.ReviveAll] chooses them.
func (c *Client) DropAll(ctx context.Context, f queue.Filter) (n int, more bool, err error) {
	return c.drop(ctx, allOf(f))
}

func (c *Client) drop(ctx context.Context, in selection) (n int, more bool, err error) {
	var out movedJSON
	if err := c.post(ctx, pathDrop, in, &out); err != nil {
		return 0, false, fmt.Errorf("drop events: %w", err)
	}
	return count(out.Dropped), out.More, nil
}

// Pause holds the scope's lanes.
func (c *Client) Pause(ctx context.Context, s queue.Scope, d time.Duration, reason string) error {
	in := pauseJSON{scopeJSON: showScope(s), Reason: reason}
	if d > 0 {
		in.For = d.String()
	}
	if err := c.post(ctx, pathPause, in, nil); err != nil {
		return fmt.Errorf("pause: %w", err)
	}
	return nil
}

// Resume ends the scope's pause.
func (c *Client) Resume(ctx context.Context, s queue.Scope) error {
	if err := c.post(ctx, pathResume, showScope(s), nil); err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	return nil
}

// Pauses lists the pauses in force.
func (c *Client) Pauses(ctx context.Context) ([]queue.Pause, error) {
	var out pausesJSON
	if err := c.get(ctx, pathPauses, &out); err != nil {
		return nil, fmt.Errorf("list pauses: %w", err)
	}
	var pauses []queue.Pause
	for _, p := range out.Pauses {
		pauses = append(pauses, queue.Pause{
			Scope: queue.Scope{Agent: p.Agent, Account: p.IM, Conversation: p.Conversation},
			Until: p.Until.Time, Reason: p.Reason,
		})
	}
	return pauses, nil
}

// get asks for what is at the path.
func (c *Client) get(ctx context.Context, path string, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, http.NoBody)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	return c.do(req, out)
}

// post sends in to the path.
func (c *Client) post(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	return c.do(req, out)
}

// do makes one call. out, when not nil, gets the answer; of an error too, if that has another shape.
func (c *Client) do(req *http.Request, out any) error {
	req.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	req.Header.Set("Accept", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("reach the relay: %w", err)
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	return understand(resp, reply, out)
}
