package sqlitequeue

import "github.com/imrelay/imrelay/relay/store/sqlitefile"

// schema is the queue's tables. States are those of package queue: 1 queued, 2 parked, 3 delivered, 4 dead. Times are
// milliseconds. A job that was never tried leaves the columns after meta NULL: since, due and updated are as accepted.
// The body of a delivered job goes before its row does.
var schema = sqlitefile.Schema{Name: "queue", Steps: []string{`
CREATE TABLE lanes (
	id INTEGER PRIMARY KEY, agent TEXT NOT NULL, account TEXT NOT NULL, conversation TEXT NOT NULL,
	UNIQUE (conversation, account, agent)
);
CREATE TABLE jobs (
	seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, lane INTEGER NOT NULL, state INTEGER NOT NULL,
	accepted INTEGER NOT NULL, key BLOB, sum INTEGER NOT NULL, size INTEGER NOT NULL, meta,
	since INTEGER, due INTEGER, not_before INTEGER, first_failure INTEGER, updated INTEGER,
	attempts INTEGER, answered INTEGER, status INTEGER, last_error TEXT
);
CREATE INDEX jobs_aside ON jobs (state, seq) WHERE state IN (2, 4);
CREATE TABLE bodies (seq INTEGER PRIMARY KEY, body BLOB);
CREATE TABLE queue_pauses (
	agent TEXT, account TEXT, conversation TEXT, until INTEGER NOT NULL, reason TEXT NOT NULL,
	PRIMARY KEY (agent, account, conversation)
) WITHOUT ROWID;
CREATE TABLE queue_tallies ( -- bytes: of the bodies of delivered jobs
	agent TEXT PRIMARY KEY, delivered INTEGER NOT NULL, dead INTEGER NOT NULL, bytes INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE queue_state (
	id INTEGER PRIMARY KEY CHECK (id = 1),
	seq INTEGER NOT NULL,          -- no job has a higher one
	floor INTEGER NOT NULL,        -- no queued job has a lower one
	merged INTEGER NOT NULL,       -- the keys of jobs up to this one are in the tables of keys
	clock_store INTEGER NOT NULL, clock_wall INTEGER NOT NULL
);
INSERT INTO queue_state VALUES (1, 0, 0, 0, 0, 0);
`}}

const (
	recordColumns = `j.seq, j.id, l.agent, l.account, l.conversation, j.state, j.accepted, j.sum, j.meta,
	j.since, j.due, j.not_before, j.first_failure, j.updated, j.attempts, j.answered, j.status, j.last_error`
	fromJobs = ` FROM jobs j JOIN lanes l ON l.id = j.lane`

	selectBySeq = `SELECT ` + recordColumns + `, b.body` + fromJobs + ` LEFT JOIN bodies b ON b.seq = j.seq WHERE j.seq = ?`
	selectByID  = `SELECT ` + recordColumns + `, b.body` + fromJobs + ` LEFT JOIN bodies b ON b.seq = j.seq WHERE j.id = ?`

	insertJobHead  = `INSERT OR IGNORE INTO jobs (seq, id, lane, state, accepted, key, sum, size, meta) VALUES `
	insertJobRow   = `(?, ?, ?, 1, ?, ?, ?, ?, ?)`
	insertJob      = insertJobHead + insertJobRow
	insertBodyHead = `INSERT INTO bodies VALUES `
	insertBodyRow  = `(?, ?)`
	insertBody     = insertBodyHead + insertBodyRow
	updateAckHead  = `UPDATE jobs SET state = 3, updated = ?, attempts = ?, status = ?, last_error = NULL WHERE seq IN `
	updateAck      = updateAckHead + `(?)`
	updateJob      = `UPDATE jobs SET state = ?, since = ?, due = ?, not_before = ?, first_failure = ?, updated = ?,
	attempts = ?, answered = ?, status = ?, last_error = ? WHERE seq = ?`
)
