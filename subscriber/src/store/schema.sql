-- The embedded store, version 1. Positions are places in the log: a record that is read twice is written once.
-- Times are nanoseconds since 1970-01-01T00:00:00Z. The views at the end are for people.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT;

CREATE TABLE publishers (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    host TEXT
) STRICT;

-- Which fields a publisher's readings have had, in the order in which they first came. A field can have had two types.
CREATE TABLE fields (
    id        INTEGER PRIMARY KEY,
    publisher INTEGER NOT NULL,
    name      TEXT NOT NULL,
    type      TEXT NOT NULL,
    UNIQUE (publisher, name, type)
) STRICT;

CREATE TABLE readings (
    position    INTEGER PRIMARY KEY,
    publisher   INTEGER NOT NULL,
    time_ns     INTEGER NOT NULL,
    received_ns INTEGER NOT NULL,
    row_time_ns INTEGER,
    sequence    INTEGER,
    late        INTEGER NOT NULL,
    fields      TEXT NOT NULL
) STRICT;
CREATE INDEX readings_by_time ON readings (publisher, time_ns);

CREATE TABLE heartbeats (
    position      INTEGER PRIMARY KEY,
    publisher     INTEGER NOT NULL,
    time_ns       INTEGER NOT NULL,
    state         TEXT NOT NULL,
    cause         TEXT NOT NULL,
    alive         INTEGER,
    since_ns      INTEGER NOT NULL,
    silence_s     REAL,
    threshold_s   REAL NOT NULL,
    last_heard_ns INTEGER,
    pid           INTEGER,
    missed        INTEGER NOT NULL,
    counts        TEXT NOT NULL
) STRICT;
CREATE INDEX heartbeats_by_time ON heartbeats (publisher, time_ns);

CREATE TABLE flips (
    position      INTEGER PRIMARY KEY,
    publisher     INTEGER NOT NULL,
    time_ns       INTEGER NOT NULL,
    noticed_ns    INTEGER NOT NULL,
    from_state    TEXT NOT NULL,
    to_state      TEXT NOT NULL,
    cause         TEXT NOT NULL,
    silence_s     REAL,
    last_heard_ns INTEGER,
    process       TEXT,
    evidence      TEXT NOT NULL
) STRICT;

CREATE TABLE unwatched (
    position INTEGER PRIMARY KEY,
    link     TEXT,
    from_ns  INTEGER NOT NULL,
    to_ns    INTEGER NOT NULL,
    reason   TEXT NOT NULL
) STRICT;

CREATE TABLE notices (
    position  INTEGER PRIMARY KEY,
    publisher INTEGER NOT NULL,
    time_ns   INTEGER NOT NULL,
    notice    TEXT NOT NULL,
    details   TEXT NOT NULL
) STRICT;

-- What could not be read, as it came.
CREATE TABLE refused (
    position    INTEGER PRIMARY KEY,
    received_ns INTEGER,
    topic       TEXT,
    reason      TEXT NOT NULL,
    payload     BLOB NOT NULL
) STRICT;

CREATE VIEW sensor AS
SELECT strftime('%Y-%m-%dT%H:%M:%fZ', time_ns / 1e9, 'unixepoch') AS time, publishers.name AS publisher, host, fields,
       time_ns, received_ns, row_time_ns, sequence, late
FROM readings JOIN publishers ON publishers.id = readings.publisher;

CREATE VIEW heartbeat AS
SELECT strftime('%Y-%m-%dT%H:%M:%fZ', time_ns / 1e9, 'unixepoch') AS time, publishers.name AS publisher, host,
       state, cause, alive, silence_s, threshold_s, pid, missed, counts, time_ns
FROM heartbeats JOIN publishers ON publishers.id = heartbeats.publisher;

CREATE VIEW flip AS
SELECT strftime('%Y-%m-%dT%H:%M:%fZ', time_ns / 1e9, 'unixepoch') AS time, publishers.name AS publisher, host,
       from_state, to_state, cause, silence_s, process, evidence, time_ns, noticed_ns
FROM flips JOIN publishers ON publishers.id = flips.publisher;
