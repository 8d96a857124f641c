package redisconn

// Slots is how many a Cluster has.
const Slots = slots

// Slot is the slot of a tag.
func Slot(tag string) int { return slot(tag) }
