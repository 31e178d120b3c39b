-- Version 2: what publishers say of their own work, and the flips of one publisher found without looking at all.

-- A store of version 1 may have it already.
CREATE INDEX IF NOT EXISTS flips_by_publisher ON flips (publisher);

-- Each start and failure, and each beat or goodbye that came with a report; a long one is cut.
CREATE TABLE reports (
    position  INTEGER PRIMARY KEY,
    publisher INTEGER NOT NULL,
    time_ns   INTEGER NOT NULL,
    kind      TEXT NOT NULL,
    body      TEXT NOT NULL,
    truncated INTEGER NOT NULL
) STRICT;
CREATE INDEX reports_by_publisher ON reports (publisher);

CREATE VIEW report AS
SELECT strftime('%Y-%m-%dT%H:%M:%fZ', time_ns / 1e9, 'unixepoch') AS time, publishers.name AS publisher, host,
       kind, body, truncated, time_ns
FROM reports JOIN publishers ON publishers.id = reports.publisher;
