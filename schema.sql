-- burki-edge, schema 2: an organization's Burki calls, as the upstream last told them.
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
    feed_id         TEXT NOT NULL      -- names this file's order of changes; another file has another
) STRICT;

-- One row a call. The text is the record; the columns beside it are read from it. A call that is
-- proven to be gone has none: see `tombstones`.
CREATE TABLE calls (
    id                    INTEGER PRIMARY KEY,  -- the upstream's
    call_sid              TEXT NOT NULL,        -- the telephony provider's
    assistant_id          INTEGER,
    assistant_name        TEXT,
    customer_phone_number TEXT,
    status                TEXT NOT NULL,        -- completed, failed, ongoing, in-progress, ...
    duration              INTEGER,              -- seconds; NULL until known
    started_at            INTEGER,              -- NULL: never started
    open                  INTEGER NOT NULL,     -- 1: the status is not known to be final
    suspect_at            INTEGER,              -- the upstream said then that it has no such call
    seen_at               INTEGER NOT NULL,     -- this text was the upstream's then (see coverage)
    request_seq           INTEGER NOT NULL,     -- the request that said so
    change_seq            INTEGER NOT NULL,     -- its place in the order of changes, each the next
    body_hash             INTEGER NOT NULL,     -- first 64 bits of the body's SHA-256: its ETag
    body                  TEXT NOT NULL         -- the upstream's JSON, byte for byte
) STRICT;

CREATE INDEX calls_by_sid ON calls (call_sid);
CREATE INDEX calls_by_start ON calls (started_at, id);
CREATE INDEX open_calls ON calls (status, started_at) WHERE open = 1 AND suspect_at IS NULL;
CREATE INDEX suspects ON calls (started_at, suspect_at) WHERE suspect_at IS NOT NULL;
CREATE UNIQUE INDEX calls_by_change ON calls (change_seq);

-- Calls that were held, and are proven to be deleted at the upstream. One that is seen again is a
-- row of `calls` again, and none of these.
CREATE TABLE tombstones (
    id          INTEGER PRIMARY KEY,  -- the upstream's
    call_sid    TEXT NOT NULL,
    deleted_at  INTEGER NOT NULL,     -- it was known to be gone then
    request_seq INTEGER NOT NULL,     -- the request that proved it
    change_seq  INTEGER NOT NULL      -- its place in the order of changes, one for both tables
) STRICT;

CREATE INDEX tombstones_by_sid ON tombstones (call_sid);
CREATE UNIQUE INDEX tombstones_by_change ON tombstones (change_seq);

-- How far this file follows the order of changes of another edge. No row where the upstream is none.
CREATE TABLE followed (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    feed_id TEXT NOT NULL,     -- the other file's
    place   INTEGER NOT NULL,  -- every change up to here is in this file
    whole   INTEGER NOT NULL   -- 1: no call is here that the other file had never told of
) STRICT;

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

-- Calls counted by the UTC day they started on. Kept by the transaction that writes the calls.
CREATE TABLE rollups (
    day          INTEGER NOT NULL,  -- since 1970-01-01; -1000000: never started
    status       TEXT NOT NULL,
    assistant_id INTEGER NOT NULL,  -- 0: unknown
    calls        INTEGER NOT NULL,
    timed        INTEGER NOT NULL,  -- calls whose duration is known
    duration     INTEGER NOT NULL,  -- their sum, in seconds
    PRIMARY KEY (day, status, assistant_id)
) STRICT, WITHOUT ROWID;
