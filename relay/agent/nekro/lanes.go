package nekro

import "sync"

// mostWaiting is how much of what Nekro asks may wait. Nekro itself lets 100 events wait.
const mostWaiting = 256

// lanes do work one after another under one key, and beside each other under different ones.
type lanes struct {
	mu      sync.Mutex
	waiting map[string][]func()
	total   int
	running sync.WaitGroup
}

// do takes the work, unless too much waits.
func (n *lanes) do(key string, work func()) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.total >= mostWaiting {
		return false
	}
	n.total++
	if n.waiting == nil {
		n.waiting = map[string][]func(){}
	}
	queue, busy := n.waiting[key]
	n.waiting[key] = append(queue, work)
	if !busy {
		n.running.Go(func() { n.serve(key) })
	}
	return true
}

func (n *lanes) serve(key string) {
	for {
		n.mu.Lock()
		queue := n.waiting[key]
		if len(queue) == 0 {
			delete(n.waiting, key)
			n.mu.Unlock()
			return
		}
		n.waiting[key] = queue[1:]
		n.mu.Unlock()
		queue[0]()
		n.mu.Lock()
		n.total--
		n.mu.Unlock()
	}
}

// wait returns when all is done.
func (n *lanes) wait() { n.running.Wait() }
