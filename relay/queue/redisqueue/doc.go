// Package redisqueue is the queue of many relays: package queue on one Redis. Any number of processes may have it open;
// they share lanes, leases, keys and pauses. It owns no connection, and it decides nothing in Go that two relays could
// decide differently: every transition is one Lua script that runs in Redis, in the folder lua, with what it is given and
// what it returns in its head.
//
// # What is where
//
// The data is spread over shards, by account and conversation, so that a conversation's lanes and keys are together.
// All keys of a shard begin with its prefix. a is an agent, l a lane: "agent/account/conversation", with "/" and "%" of
// the first two escaped.
//
//	tick                 the last number given: seqs and tokens, which are times in µs as long as there are not too many
//	skew                 how much the clock was set back since, in µs: the time never goes back
//	seen:<sum>           "<when> <id>" of the job that has the key, or "<when> -" of our own message
//	old:<sum>            the same for an imported key, in the shard of its sum, since its chat is not known
//	job:<id>             hash: l lane, m meta, b body, z its size, c its CRC-32C, q seq, n nonce of the put, a accepted; and
//	                     what may be missing as long as it is the default: s state, t attempts, i since, d due, h not before,
//	                     f first failure, w answered, u status, e last error, p updated, v nonce of the last settle
//	lane:<l>             list of "<seq> <id>" of the queued jobs in order; the head stays until it is settled
//	aside:<l>            zset of "<seq> <id>" of the parked ones by due
//	at:<l>               the lane's seat: lease, hold, whose turn it is (see lua/lib.lua)
//	calm:<a> rough:<a>   zsets of lanes that may be taken, by due: calm ones, and those whose last attempt was no ack
//	leased:<a>           zset of leased lanes by the lease's end
//	held:<a>             zset of lanes of paused conversations; a lane with work is in exactly one of these four
//	queued:<a> parked:<a> done:<a> dead:<a>
//	                     zsets of ids by seq
//	over:done over:bare over:dead
//	                     zsets of ids by when it was over: delivered with its body, without, dead
//	bytes                bytes of the delivered bodies
//	pauses               hash of scope → "<end> <reason>"; an agent's pause is in every shard
//	ends                 zset of scopes by the end of the pause
//	talk:<chat>          '1' while a turn of a conversation is open, or what its last turn left (see lua/turn.lua)
//	turns:<chat>         list of when its last turns ended
//	known                zset of "<conversation>\0<account>\0<agent>", for lookups by the conversation
//	agents               set of the agents that ever had a job
//	took:<who>           the last leases of a taker; did:<nonce> the answer of a rare script: for runs that are repeated
//
// # Calls that are repeated
//
// A script whose answer was lost on the way is run again. Each leaves the call's nonce where its change is, and a
// second run with the same nonce returns the answer of the first and changes nothing. So a lost answer loses no lease and
// stores no job twice.
//
// # Who looks when
//
// Take asks only the shards in which there may be something: where a call of this process made a lane takeable, where
// another relay said that one did, where a time has come that an earlier look told of; and every shard once a second,
// for what a relay left that died. When a shard is not looked at for some milliseconds after a call of ours made a lane
// takeable in it, because we are saturated or do not serve the agent, the other relays are told. So an idle fleet hears of
// work at once, and a busy one does not wake everybody for each message.
//
// # Bounds
//
// Nothing is kept in this process for a lane or a job. In Redis, known and agents keep about 130 bytes for each
// conversation that there ever was. Of a lane's parked jobs that are due, the hundred that are so for longest are looked
// at for the one that was accepted first. Order holds within a lane; between lanes of one shard the longest
// due comes first, between shards nearly so. A lapsed lease is taken back when somebody looks. Redis' clock is the one
// clock, that of leases too: a local clock that is wrong changes nothing.
package redisqueue
