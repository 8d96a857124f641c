package redisconn

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// oldest is the first version that has all that the scripts use.
	oldest = 7
	// clocksApart is what is said of a clock: relays go by that of Redis, signatures by their own.
	clocksApart = 5 * time.Second
)

// Severity tells what to do about a problem.
type Severity uint8

// The severities.
const (
	// SeverityWarning is for what the operator should know.
	SeverityWarning Severity = iota
	// SeverityOutage is for what lets Redis take nothing now, and may heal by itself.
	SeverityOutage
	// SeverityError is for what makes a start wrong.
	SeverityError
)

// String names it.
func (s Severity) String() string {
	switch s {
	case SeverityError:
		return "error"
	case SeverityOutage:
		return "outage"
	}
	return "warning"
}

// Problem is something wrong with how Redis is set up.
type Problem struct {
	Severity Severity
	// Text says what is so, Hint what to do.
	Text, Hint string
}

// Problems are what is wrong, the worst first.
func (f Facts) Problems() []Problem {
	var all []Problem
	for _, p := range []*Problem{f.version(), f.role(), f.reach(), f.eviction(), f.waits(), f.writes(), f.persistence(), f.clock()} {
		if p != nil {
			all = append(all, *p)
		}
	}
	slices.SortStableFunc(all, func(a, b Problem) int { return cmp.Compare(b.Severity, a.Severity) })
	return all
}

// old says that a version is known to be too old.
func old(version string) bool {
	major, _, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(major)
	return err == nil && n < oldest
}

func (f Facts) version() *Problem {
	if !old(f.Version) {
		return nil
	}
	return &Problem{SeverityError, "Redis is of version " + f.Version, fmt.Sprintf("run version %d.0 or newer", oldest)}
}

func (f Facts) role() *Problem {
	if f.Role == "master" || f.Role == Unknown {
		return nil
	}
	return &Problem{
		SeverityOutage, "the server is a replica, which takes no writes",
		"name the master, or let redis+sentinel:// find it",
	}
}

func (f Facts) reach() *Problem {
	if !f.Clustered || f.Mode == Cluster {
		return nil
	}
	return &Problem{SeverityError, "the server is part of a Cluster", "begin the URL with redis+cluster:// or rediss+cluster://"}
}

func (f Facts) eviction() *Problem {
	switch f.MaxMemoryPolicy {
	case "noeviction":
		return nil
	case Unknown:
		return &Problem{SeverityWarning, "maxmemory-policy cannot be seen", "make sure that it is noeviction"}
	}
	p := &Problem{
		SeverityError, "maxmemory-policy is " + f.MaxMemoryPolicy + ": when its memory is full, Redis throws away messages",
		"set maxmemory-policy noeviction, or start with --insecure",
	}
	if f.Insecure {
		p.Severity, p.Hint = SeverityWarning, "set maxmemory-policy noeviction"
	}
	return p
}

func (f Facts) waits() *Problem {
	if f.Replicas == UnknownCount || f.WaitReplicas <= f.Replicas {
		return nil
	}
	return &Problem{
		SeverityOutage, fmt.Sprintf("wait_replicas is %d and %s: nothing can be accepted", f.WaitReplicas, connected(f.Replicas)),
		"connect more replicas, or lower wait_replicas",
	}
}

func (f Facts) writes() *Problem {
	if f.Replicas == UnknownCount || f.MinReplicas <= f.Replicas {
		return nil
	}
	return &Problem{
		SeverityOutage,
		fmt.Sprintf("min-replicas-to-write is %d and %s: Redis takes no writes", f.MinReplicas, connected(f.Replicas)),
		"connect more replicas, or lower min-replicas-to-write",
	}
}

func connected(replicas int) string {
	switch replicas {
	case 0:
		return "no replica is connected"
	case 1:
		return "one replica is connected"
	}
	return fmt.Sprintf("%d replicas are connected", replicas)
}

func (f Facts) persistence() *Problem {
	const hint = "set appendonly yes and appendfsync always"
	switch {
	case f.AppendOnly == "no":
		return &Problem{SeverityWarning, "appendonly is no: a restart of Redis loses messages", hint}
	case f.AppendOnly == Unknown:
		return &Problem{SeverityWarning, "appendonly cannot be seen", hint}
	case f.AppendFsync == Unknown:
		return &Problem{SeverityWarning, "appendfsync cannot be seen", "set appendfsync always"}
	case f.AppendFsync != "always":
		return &Problem{
			SeverityWarning, "appendfsync is " + f.AppendFsync + ": a power cut at Redis loses messages", "set appendfsync always",
		}
	}
	return nil
}

func (f Facts) clock() *Problem {
	if f.ClockAhead.Abs() <= clocksApart {
		return nil
	}
	off := f.ClockAhead.Abs().Round(time.Second).String()
	where := "ahead of"
	if f.ClockAhead < 0 {
		where = "behind"
	}
	return &Problem{SeverityWarning, "the clock of Redis is " + off + " " + where + " ours", "let both machines keep time by NTP"}
}

// Loss says in plain words what these settings can lose of what was accepted: when Redis crashes, when its machine loses
// power, and when a replica takes over.
func (f Facts) Loss() string { return f.crash() + " " + f.failover() }

func (f Facts) crash() string {
	switch {
	case f.AppendOnly == Unknown:
		return "Whether a crash of Redis or a power cut loses anything cannot be seen: count on losing everything."
	case f.AppendOnly == "no" && f.Save == "":
		return "A crash of Redis, a power cut and a mere restart lose everything: it keeps nothing on disk."
	case f.AppendOnly == "no" && f.Save == Unknown:
		return "A crash of Redis and a power cut lose everything since the last snapshot; whether it makes any cannot be seen."
	case f.AppendOnly == "no":
		return "A crash of Redis and a power cut lose everything since the last snapshot (save " + f.Save + ")."
	}
	switch f.AppendFsync {
	case "always":
		return "A crash of Redis and a power cut lose nothing."
	case "everysec":
		return "A crash of the Redis process alone loses nothing; a power cut of its machine loses up to about a second of " +
			"accepted messages, more if its disk is slow."
	case "no":
		return "A crash of the Redis process alone loses nothing; a power cut of its machine loses what the system had not " +
			"written yet, often half a minute of accepted messages."
	}
	return "A crash of the Redis process alone loses nothing; what a power cut of its machine loses cannot be seen."
}

func (f Facts) failover() string {
	const late = "A failover loses what the new master had not got yet, for replication is asynchronous"
	switch {
	case f.Replicas == 0:
		return "There is no replica that could take over."
	case f.WaitReplicas >= 1 && f.MinReplicas >= 1:
		return fmt.Sprintf("A failover loses nothing as long as the furthest replica takes over: each message is with %s before "+
			"it is accepted.", replicas(f.WaitReplicas))
	case f.WaitReplicas >= 1 && f.MinReplicas == UnknownCount:
		return late + ", if min-replicas-to-write, which cannot be seen, is not at least 1."
	case f.WaitReplicas >= 1:
		return late + ": set min-replicas-to-write 1, so that a master that was cut off takes no writes."
	case f.MinReplicas >= 1:
		return late + ": add ?wait_replicas=1 to the URL."
	}
	return late + ": add ?wait_replicas=1 to the URL and set min-replicas-to-write 1."
}

func replicas(n int) string {
	if n == 1 {
		return "one replica"
	}
	return fmt.Sprintf("%d replicas", n)
}
