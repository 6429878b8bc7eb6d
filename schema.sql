-- burki-edge, schema 6: an organization's Burki calls, as the upstream last told them.
--
-- Instants (columns ending in _at) are microseconds since 1970-01-01T00:00:00Z:
--     SELECT datetime(started_at / 1000000, 'unixepoch') FROM calls;
-- In `coverage` the year 1 (-62135596800000000) stands for "since ever", and the microsecond before
-- it for the calls that have no start.
-- Whatever has no column is in the text:
--     SELECT body ->> '$.total_cost' FROM calls;

-- Whose calls these are. One row.
CREATE TABLE replica (
    one             INTEGER PRIMARY KEY CHECK (one = 1),
    base_url        TEXT NOT NULL,     -- the upstream this file mirrors
    organization_id INTEGER,           -- NULL: the upstream does not tell
    request_seq     INTEGER NOT NULL,  -- no request has had a higher number when this was written
    feed_id         TEXT NOT NULL,     -- names this file's order of changes; another file has another
    details         TEXT NOT NULL DEFAULT '', -- what is kept of ended calls: kinds, with commas
    key_hash        TEXT,              -- SHA-256 of the API key that was last seen to be theirs, in
                                       -- hex; NULL: none was since schema 5
    traces          INTEGER NOT NULL DEFAULT 0 -- 1: the trigrams may hold traces of what is gone
) STRICT;

-- One row a call. The text is the record; the columns beside it are read from it. A call that is
-- proven to be gone has none: see `tombstones`.
CREATE TABLE calls (
    id                    INTEGER PRIMARY KEY,  -- the upstream's
    call_sid              TEXT NOT NULL,        -- the telephony provider's
    assistant_id          INTEGER,
    assistant_name        TEXT,                 -- as `assistants` has it where the text tells none
    customer_phone_number TEXT,
    status                TEXT NOT NULL,        -- completed, failed, ongoing, in-progress, ...
    duration              REAL,                 -- seconds; NULL until known
    started_at            INTEGER,              -- NULL: never started
    open                  INTEGER NOT NULL,     -- 1: the status is not known to be final
    suspect_at            INTEGER,              -- the upstream said then that it has no such call
    seen_at               INTEGER NOT NULL,     -- this text was the upstream's then (see coverage)
    request_seq           INTEGER NOT NULL,     -- the request that said so
    change_seq            INTEGER NOT NULL,     -- its place in the order of changes, each the next
    body_hash             INTEGER NOT NULL,     -- first 64 bits of the body's SHA-256: its ETag
    body                  TEXT NOT NULL         -- the upstream's JSON, byte for byte
) STRICT;

-- By start, with all a list is narrowed by except the SID: any filter walks it in the list's order
-- and never reads a text in vain.
CREATE INDEX calls_by_start ON calls (started_at, id, status, assistant_id, duration,
    customer_phone_number, assistant_name);
-- For a filter that few calls pass; most are completed, and found by walking the one above. Each
-- ends in the row's id, unseen: it too is in the list's order.
CREATE INDEX calls_by_status ON calls (status, started_at) WHERE status <> 'completed';
CREATE INDEX calls_by_assistant ON calls (assistant_id, started_at);
CREATE INDEX calls_by_name ON calls (assistant_name, started_at) WHERE assistant_name IS NOT NULL;
CREATE INDEX calls_by_phone ON calls (customer_phone_number, started_at);
CREATE INDEX calls_by_duration ON calls (duration, started_at);
CREATE INDEX calls_by_sid ON calls (call_sid);
CREATE INDEX open_calls ON calls (status, started_at) WHERE open = 1 AND suspect_at IS NULL;
CREATE INDEX suspects ON calls (started_at, suspect_at) WHERE suspect_at IS NOT NULL;
CREATE UNIQUE INDEX calls_by_change ON calls (change_seq);

-- What a self-hosted upstream, whose calls do not name them, says its assistants are called.
CREATE TABLE assistants (
    assistant_id INTEGER PRIMARY KEY,
    name         TEXT NOT NULL,
    told_at      INTEGER NOT NULL
) STRICT;

-- Calls that were held, and are proven to be deleted at the upstream. One that is seen again is a
-- row of `calls` again, and none of these. No text of them is kept.
CREATE TABLE tombstones (
    id          INTEGER PRIMARY KEY,  -- the upstream's
    sid_hash    INTEGER NOT NULL,     -- first 64 bits of the SHA-256 of its SID
    deleted_at  INTEGER NOT NULL,     -- it was known to be gone then
    request_seq INTEGER NOT NULL,     -- the request that proved it
    change_seq  INTEGER NOT NULL      -- its place in the order of changes, one for both tables
) STRICT;

CREATE INDEX tombstones_by_sid ON tombstones (sid_hash);
CREATE UNIQUE INDEX tombstones_by_change ON tombstones (change_seq);

-- How far this file follows the order of changes of another edge. No row where the upstream is none.
CREATE TABLE followed (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    feed_id TEXT NOT NULL,     -- the other file's
    place   INTEGER NOT NULL,  -- every change up to here is in this file
    whole   INTEGER NOT NULL   -- 1: no call is here that the other file had never told of
) STRICT;

-- What the upstream was found to be able to do, where it is less than it documents. A row that is
-- not there: nothing is known.
CREATE TABLE limits (
    name       TEXT PRIMARY KEY,  -- page_rows: the most rows that it serves on a page of the list
    value      INTEGER NOT NULL,
    learned_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What is known: every call that started within a window is in `calls` as of verified_at, and no
-- other was there. Windows do not overlap. What lies between two of them was not read yet.
CREATE TABLE coverage (
    from_at     INTEGER PRIMARY KEY,  -- inclusive
    to_at       INTEGER NOT NULL,     -- inclusive
    verified_at INTEGER NOT NULL,
    request_seq INTEGER NOT NULL,
    row_count   INTEGER NOT NULL,     -- calls in the window when it was read
    open_ended  INTEGER NOT NULL      -- 1: newer calls, and those without a start, were read too
) STRICT;

-- The books: what would take a scan of the calls to count. The transaction that writes the calls
-- keeps them, so they are exact at every moment. A sum beyond 64 bits wraps around.

-- Calls by the UTC day they started on.
CREATE TABLE rollups (
    day          INTEGER NOT NULL,  -- since 1970-01-01; -1000000: never started
    status       TEXT NOT NULL,
    assistant_id INTEGER NOT NULL,  -- 0: unknown
    calls        INTEGER NOT NULL,
    timed        INTEGER NOT NULL,  -- calls whose duration is known
    instant      INTEGER NOT NULL,  -- of those, calls whose duration is 0
    duration_us  INTEGER NOT NULL,  -- the sum of all, in microseconds
    PRIMARY KEY (day, status, assistant_id)
) STRICT, WITHOUT ROWID;

-- The same for all days together.
CREATE TABLE totals (
    status       TEXT NOT NULL,
    assistant_id INTEGER NOT NULL,  -- 0: unknown
    calls        INTEGER NOT NULL,
    timed        INTEGER NOT NULL,
    duration_us  INTEGER NOT NULL,
    PRIMARY KEY (status, assistant_id)
) STRICT, WITHOUT ROWID;

-- How many calls took so long.
CREATE TABLE durations (
    duration REAL PRIMARY KEY,  -- in seconds
    calls    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Every phone number that called or was called, and every name an assistant had, once.
CREATE TABLE phones (
    phone_id INTEGER PRIMARY KEY,
    phone    TEXT NOT NULL UNIQUE,
    calls    INTEGER NOT NULL
) STRICT;

CREATE TABLE names (
    name  TEXT PRIMARY KEY,
    calls INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Where any three characters in a row occur, in lower case: rowid is phones.phone_id or calls.id.
-- They hold no text: a column shows what the table beside has. What a longer search finds by its
-- trigrams is compared with the text itself:
--     SELECT rowid FROM phone_trigrams WHERE phone_trigrams MATCH '"415" AND "155"';
CREATE VIRTUAL TABLE phone_trigrams USING fts5 (
    phone, content = 'phones', content_rowid = 'phone_id', columnsize = 0, detail = none,
    tokenize = 'trigram case_sensitive 1');

CREATE VIRTUAL TABLE sid_trigrams USING fts5 (
    call_sid, content = 'calls', content_rowid = 'id', columnsize = 0, detail = none,
    tokenize = 'trigram case_sensitive 1');

-- What the upstream tells of a call beside its record.
CREATE TABLE details (
    call_id     INTEGER NOT NULL,
    kind        TEXT NOT NULL,     -- transcripts, recordings, messages, metrics or webhook-logs
    seen_at     INTEGER NOT NULL,  -- this text was the upstream's then
    request_seq INTEGER NOT NULL,  -- the request that said so
    ended       INTEGER NOT NULL,  -- 1: the call was known to have ended when it was asked for
    body_hash   INTEGER NOT NULL,  -- first 64 bits of the body's SHA-256
    body        TEXT NOT NULL,     -- the upstream's JSON, byte for byte; transcripts with interim ones
    PRIMARY KEY (call_id, kind)
) STRICT;

-- Calls that have ended, and whose details are to be asked for, or to be asked for again.
CREATE TABLE details_due (
    call_id     INTEGER PRIMARY KEY,
    started_at  INTEGER,           -- the newest come first
    due_at      INTEGER NOT NULL,  -- not before then; 0: at any time
    again       INTEGER NOT NULL,  -- 1: all of them were asked for before
    answered    INTEGER NOT NULL,  -- 1 transcripts, 2 recordings, 4 messages, 8 metrics, 16 webhook-logs
    failures    INTEGER NOT NULL,  -- times in a row that one of them could not be had
    request_seq INTEGER NOT NULL   -- the request that said that they are due: older answers don't count
) STRICT;

CREATE INDEX details_due_by_time ON details_due (due_at, started_at);

-- Changes of metadata that clients made while the upstream could not be asked.
CREATE TABLE writes (
    write_id    INTEGER PRIMARY KEY,  -- in the order in which they were made
    call_id     INTEGER NOT NULL,
    call_sid    TEXT NOT NULL,        -- another one under this id is another call
    metadata    TEXT NOT NULL,        -- the JSON object to merge; a null takes its key out
    before      TEXT,                 -- the call_meta that the upstream is expected to have then
    accepted_at INTEGER NOT NULL,
    sent_at     INTEGER,              -- NULL: never sent; else it may have arrived
    failed      TEXT                  -- why it can never be made; NULL: it is still to be
) STRICT;

-- What of them is remembered when they are gone. No row before the first.
CREATE TABLE written (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    last_id   INTEGER NOT NULL,  -- no write_id is given twice
    conflicts INTEGER NOT NULL   -- changes that met somebody else's
) STRICT;

-- The last of those that met somebody else's change of the same keys, and went over it.
CREATE TABLE conflicts (
    write_id INTEGER PRIMARY KEY,
    call_id  INTEGER NOT NULL,
    keys     TEXT NOT NULL,     -- a JSON array
    found_at INTEGER NOT NULL
) STRICT;
