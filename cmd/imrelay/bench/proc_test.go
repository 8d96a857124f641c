package bench

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of times in /proc on every Linux of today.
const clockTick = 10 * time.Millisecond

// usage is the CPU time that a server, what keeps its data, this process and the whole machine have used until now.
type usage struct {
	server, store, self, host time.Duration
	at                        time.Time
}

// look reads the usage; times that the system does not tell are 0.
func look(s server) usage {
	u := usage{self: cpuOf(os.Getpid()), host: hostBusy(), at: time.Now()}
	for _, pid := range s.pids {
		u.server += cpuOf(pid)
	}
	for _, pid := range s.stores {
		u.store += cpuOf(pid)
	}
	return u
}

// since is what was used since an earlier look.
func (u usage) since(v usage) usage {
	return usage{server: u.server - v.server, store: u.store - v.store, self: u.self - v.self, host: u.host - v.host}
}

// cpuOf is the user and system time of a process.
func cpuOf(pid int) time.Duration {
	f := statOf(pid)
	if len(f) < 13 {
		return 0
	}
	return ticks(f[11]) + ticks(f[12])
}

// statOf are the fields of /proc/pid/stat behind the name: the state, the parent and so on.
func statOf(pid int) []string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return nil
	}
	s := string(b)
	return strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
}

func ticks(s string) time.Duration {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return time.Duration(n) * clockTick
}

// hostBusy is the time that all cores together were not idle.
func hostBusy() (busy time.Duration) {
	line, _, _ := strings.Cut(textOf("/proc/stat"), "\n")
	for i, f := range strings.Fields(line) {
		if i == 0 || i == 4 || i == 5 || i > 7 {
			continue // the name, idle, waiting for a disk; what guests and other machines had
		}
		busy += ticks(f)
	}
	return busy
}

// childrenOf are the living processes whose parent is pid.
func childrenOf(pid int) (pids []int) {
	all, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, e := range all {
		child, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if f := statOf(child); len(f) > 1 && f[1] == strconv.Itoa(pid) {
			pids = append(pids, child)
		}
	}
	return pids
}

// memory is a process's resident memory in MB, now and at its most; 0: not known.
func memory(pid int) (now, peak float64) {
	for line := range strings.Lines(textOf("/proc/" + strconv.Itoa(pid) + "/status")) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		kb, err := strconv.ParseFloat(f[1], 64)
		if err != nil {
			continue
		}
		switch f[0] {
		case "VmRSS:":
			now = kb * 1024 / 1e6
		case "VmHWM:":
			peak = kb * 1024 / 1e6
		}
	}
	return now, peak
}

// loadAverage is the machine's, of the last minute; empty: not known.
func loadAverage() string {
	average, _, _ := strings.Cut(textOf("/proc/loadavg"), " ")
	return average
}

func textOf(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	return string(b)
}
