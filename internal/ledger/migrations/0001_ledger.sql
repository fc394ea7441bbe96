-- Times are nanoseconds since 1970 in UTC. Columns named *_folded hold comparison
-- forms; the spelling as first written stands beside them. BLOB columns are sealed.

CREATE TABLE connections (
    uid            TEXT PRIMARY KEY,
    id_folded      TEXT NOT NULL UNIQUE,
    source_folded  TEXT NOT NULL,
    name           TEXT NOT NULL COLLATE NOCASE,
    body           TEXT NOT NULL
) STRICT;
CREATE INDEX connections_by_source ON connections (source_folded, name);

CREATE TABLE operations (
    seq            INTEGER PRIMARY KEY AUTOINCREMENT,
    id             TEXT NOT NULL UNIQUE,
    verb           TEXT NOT NULL,
    uid            TEXT NOT NULL,
    connection     TEXT NOT NULL,
    conn_folded    TEXT NOT NULL,
    source         TEXT NOT NULL,
    source_folded  TEXT NOT NULL,
    runner         TEXT NOT NULL,
    caller         TEXT NOT NULL,
    correlation    TEXT NOT NULL,
    status         TEXT NOT NULL,
    wanted         TEXT,
    before         TEXT,
    force          INTEGER NOT NULL,
    forget         INTEGER NOT NULL,
    undo           INTEGER NOT NULL,
    accepted       INTEGER NOT NULL,
    started        INTEGER,
    ended          INTEGER,
    message        TEXT NOT NULL DEFAULT '',
    problem        TEXT,
    report         TEXT,
    -- the lease; fence 0 was never taken
    holder         TEXT NOT NULL DEFAULT '',
    fence          INTEGER NOT NULL DEFAULT 0,
    expires        INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX operations_by_source ON operations (source_folded, seq);
-- The three rules of concurrency, held by the store itself: one unfinished operation
-- per connection (whether known by uid or by id), one running operation per source.
CREATE UNIQUE INDEX one_unfinished_per_uid ON operations (uid) WHERE ended IS NULL;
CREATE UNIQUE INDEX one_unfinished_per_id ON operations (conn_folded) WHERE ended IS NULL;
CREATE UNIQUE INDEX one_running_per_source ON operations (source_folded) WHERE status = 'Running';
CREATE INDEX unfinished ON operations (source_folded, seq) WHERE ended IS NULL;

CREATE TABLE journal (
    operation  INTEGER NOT NULL REFERENCES operations (seq),
    seq        INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    phase      TEXT NOT NULL,
    step       TEXT NOT NULL,
    note       TEXT NOT NULL,
    sealed     BLOB,
    PRIMARY KEY (operation, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE given (
    operation  INTEGER NOT NULL REFERENCES operations (seq),
    slot       TEXT NOT NULL,
    sealed     BLOB NOT NULL,
    PRIMARY KEY (operation, slot)
) STRICT, WITHOUT ROWID;

CREATE TABLE kept (
    uid        TEXT NOT NULL REFERENCES connections (uid) ON DELETE CASCADE,
    slot       TEXT NOT NULL,
    sealed     BLOB NOT NULL,
    PRIMARY KEY (uid, slot)
) STRICT, WITHOUT ROWID;

CREATE TABLE records (
    id         INTEGER PRIMARY KEY,
    folded     TEXT NOT NULL UNIQUE,
    kind       TEXT NOT NULL,
    resource   TEXT NOT NULL,
    name       TEXT NOT NULL,
    found      INTEGER NOT NULL DEFAULT 0,
    written    TEXT,
    outputs    TEXT,
    scaffold   INTEGER NOT NULL DEFAULT 0,
    claimed    INTEGER NOT NULL DEFAULT 0,
    spelling   TEXT NOT NULL DEFAULT '',
    -- previous is sealed for the connection that wrote the record last
    writer     TEXT NOT NULL DEFAULT '',
    previous   BLOB
) STRICT;

CREATE TABLE owners (
    record     INTEGER NOT NULL REFERENCES records (id) ON DELETE CASCADE,
    uid        TEXT NOT NULL REFERENCES connections (uid) ON DELETE CASCADE,
    PRIMARY KEY (record, uid)
) STRICT;
CREATE INDEX owners_by_uid ON owners (uid);

CREATE TABLE locks (
    resource_folded  TEXT PRIMARY KEY,
    operation        INTEGER NOT NULL REFERENCES operations (seq),
    fence            INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX locks_by_operation ON locks (operation);
