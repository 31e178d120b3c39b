-- Version 3: how targets and agents of a swarm stood. What agents measured is among the readings, under `agent/<agent>`.

CREATE TABLE judgements (
    position  INTEGER PRIMARY KEY,
    time_ns   INTEGER NOT NULL,
    -- 'target' or 'agent'.
    kind      TEXT NOT NULL,
    name      TEXT NOT NULL,
    -- Of a target who reaches it (all, some, none, unclear, unknown), of an agent its own link (well, down, unclear, unknown).
    verdict   TEXT NOT NULL,
    -- Of a target: well, warn, critical.
    level     TEXT,
    text      TEXT NOT NULL,
    judgement TEXT NOT NULL
) STRICT;
CREATE INDEX judgements_by_name ON judgements (kind, name);

CREATE VIEW judgement AS
SELECT strftime('%Y-%m-%dT%H:%M:%fZ', time_ns / 1e9, 'unixepoch') AS time, kind, name, verdict, level, text, time_ns
FROM judgements;

CREATE VIEW ping AS
SELECT strftime('%Y-%m-%dT%H:%M:%fZ', time_ns / 1e9, 'unixepoch') AS time, substr(publishers.name, 7) AS agent,
       fields ->> 'target' AS target, fields ->> 'loss' AS loss, fields ->> 'min' AS min, fields ->> 'avg' AS avg,
       fields ->> 'max' AS max, fields ->> 'mdev' AS mdev, fields ->> 'error' AS error, host, time_ns, late
FROM readings JOIN publishers ON publishers.id = readings.publisher
WHERE publishers.name LIKE 'agent/%' AND fields ->> 'target' IS NOT NULL;
