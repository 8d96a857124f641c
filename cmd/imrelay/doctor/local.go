package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/shirou/gopsutil/v4/disk"
	gopsnet "github.com/shirou/gopsutil/v4/net"
	"github.com/shirou/gopsutil/v4/process"
	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay/daemon"
	"github.com/imrelay/imrelay/relay/httpapi"
	"github.com/imrelay/imrelay/relay/secret"
)

// Free space under which the store refuses, and under which one should know.
const (
	leastFree = 16 << 20
	lowFree   = 256 << 20
)

// others are the permissions of those who are neither the owner nor root.
const others = 0o077

func (e *examination) data() {
	dir := e.Config.Data
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		e.ok("data", "%s does not exist yet: the first start makes it", dir)
		return
	case err != nil:
		e.fail("data", "let the relay's user read "+dir, "%v", err)
		return
	case !info.IsDir():
		e.fail("data", "remove it, or choose another folder with data: or --data", "%s is not a folder", dir)
		return
	}
	probe, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		e.fail("data", fmt.Sprintf("chown it to the relay's user, or run as that user (now uid %d)", os.Geteuid()), "%s cannot be written", dir)
		return
	}
	probe.Close()
	if err := os.Remove(probe.Name()); err != nil {
		e.warn("data", "remove it by hand", "%s stays behind: %v", probe.Name(), err)
		return
	}
	if info.Mode().Perm()&others != 0 {
		e.warn("data", "chmod 700 "+dir, "%s can be entered by others (mode %04o); it holds messages", dir, info.Mode().Perm())
		return
	}
	e.ok("data", "%s is ours and can be written", dir)
}

// disk looks at the nearest folder that exists.
func (e *examination) disk() {
	dir, err := filepath.Abs(e.Config.Data)
	for err == nil {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	usage, err := disk.Usage(dir)
	if err != nil {
		e.warn("disk", "look at the disk by hand", "free space is not known: %v", err)
		return
	}
	free := humanize.IBytes(usage.Free)
	const fix = "make room, or lower retention.max_bytes"
	switch {
	case usage.Free < leastFree:
		e.fail("disk", fix, "only %s free: nothing is accepted any more", free)
	case usage.Free < lowFree:
		e.warn("disk", fix, "only %s free", free)
	default:
		e.ok("disk", "%s free", free)
	}
}

// relay asks a running relay about itself. Its store is not opened: it is in use.
func (e *examination) relay(ctx context.Context) {
	e.ok("relay", "runs as process %d since %s; its store is not opened, the relay is asked instead",
		e.Running.PID, e.Running.Started.Local().Format(time.RFC3339))
	c := httpapi.NewClient(e.Running.URL, secret.New(e.Running.AdminToken), e.http)
	lines, _, err := c.Ready(ctx)
	if err != nil {
		e.fail("relay", "look at its log, or restart it", "it does not say whether it is ready")
		return
	}
	for _, line := range lines {
		name, detail := "readyz: "+line.Name, line.Detail
		switch line.State {
		case httpapi.StateOK:
			e.ok(name, "%s", orText(detail, "ready"))
		case httpapi.StateDegraded:
			e.warn(name, "its events wait and nothing is lost; look below and at the log", "%s", orText(detail, line.State))
		default:
			e.fail(name, "look at the relay's log", "%s", orText(detail, line.State))
		}
	}
}

func orText(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// store opens the store of a stopped relay and lets it check itself.
func (e *examination) store(ctx context.Context) {
	e.ok("relay", "does not run")
	if _, err := os.Stat(e.Config.Data); errors.Is(err, os.ErrNotExist) {
		e.ok("store", "there is none yet")
		return
	}
	store, err := daemon.OpenStore(ctx, e.Config, zap.NewNop())
	if locked, ok := errors.AsType[*daemon.LockedError](err); ok {
		e.fail("lock", "stop that process, or use another folder", "%v", locked)
		return
	}
	if err != nil {
		e.fail("store", "keep a copy of the data folder before anything else", "%v", err)
		return
	}
	e.ok("lock", "free")
	err = errors.Join(store.Integrity(ctx), store.Close())
	if err != nil {
		e.fail("store", "keep a copy of the data folder, then let sqlite3 .recover it", "%v", err)
		return
	}
	e.ok("store", "whole")
}

// port tries whether the listener could be opened.
func (e *examination) port(ctx context.Context) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", e.Config.Listen)
	switch {
	case err == nil:
		l.Close()
		e.ok("port", "%s is free", e.Config.Listen)
	case errors.Is(err, syscall.EADDRINUSE):
		e.fail("port", "stop that process, or choose another address with listen: or --listen", "%s is taken%s",
			e.Config.Listen, HolderOf(ctx, e.Config.Listen))
	default:
		e.fail("port", "choose another address with listen: or --listen", "%s cannot be listened on: %v", e.Config.Listen, errors.Unwrap(err))
	}
}

// HolderOf names who listens on the address, " by process 12 (nginx)", or returns nothing when it cannot be known.
func HolderOf(ctx context.Context, address string) string {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	conns, err := gopsnet.ConnectionsWithContext(ctx, "tcp")
	if err != nil {
		return ""
	}
	for _, c := range conns {
		if c.Status != "LISTEN" || strconv.FormatUint(uint64(c.Laddr.Port), 10) != port || c.Pid == 0 {
			continue
		}
		name := ""
		if p, err := process.NewProcessWithContext(ctx, c.Pid); err == nil {
			if n, err := p.NameWithContext(ctx); err == nil {
				name = " (" + n + ")"
			}
		}
		return fmt.Sprintf(" by process %d%s", c.Pid, name)
	}
	return ""
}

// InContainer says whether we seem to be inside a container.
func InContainer() bool {
	for _, mark := range []string{"/.dockerenv", "/run/.containerenv"} {
		if _, err := os.Stat(mark); err == nil {
			return true
		}
	}
	group, err := os.ReadFile("/proc/1/cgroup")
	return err == nil && (strings.Contains(string(group), "docker") || strings.Contains(string(group), "kubepods"))
}

// get asks one path, and tells of the answer what matters here: its status and what time it is there.
func (e *examination) get(ctx context.Context, url string) (status int, date string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", fmt.Errorf("make request: %w", err)
	}
	resp, err := e.http.Do(req)
	if err != nil {
		return 0, "", fmt.Errorf("ask: %w", err)
	}
	defer resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("Date"), nil
}
