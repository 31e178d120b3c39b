#!/usr/bin/python3
"""The source of the dashboards. Writes dashboards/*.json beside it; with --check only says whether they are up to date.

The queries are InfluxQL, which InfluxDB 1.x and 2.x both answer. Variables are written `${name:format}`: a format that is
named does not depend on where Grafana puts the value. `regex` escapes, `raw` doesn't.
"""

import json
import pathlib
import sys

FOLDER = pathlib.Path(__file__).resolve().parent / "dashboards"
LASTBEAT = {"type": "influxdb", "uid": "lastbeat"}
MACHINES = {"type": "influxdb", "uid": "lastbeat-machines"}

# What each state looks like: shape and colour. The shapes are those of the live table.
STATES = {
    "alive": ("●", "green"),
    "silent": ("◐", "yellow"),
    "suspended": ("‖", "orange"),
    "failed": ("▲", "dark-orange"),
    "dead": ("✖", "red"),
    "unknown": ("?", "purple"),
    "unseen": ("○", "#9fa7b3"),
    "finished": ("■", "#6e7683"),
    "paused": ("▷", "blue"),
    "blind": ("◌", "#4a4f57"),
}
MAPPINGS = [{
    "type": "value",
    "options": {state: {"text": f"{mark} {state}", "color": color, "index": index}
                for index, (state, (mark, color)) in enumerate(STATES.items())},
}]

# Whose points are wanted. Without a host a point has no such tag, and matches when no host is chosen.
HOST = '"host" =~ /^${host:regex}$/'
THEIRS = f'"publisher" =~ /^${{publisher:regex}}$/ AND {HOST} AND $timeFilter'
EACH = 'GROUP BY time($__interval), "publisher" fill(none)'


def query(text, alias=None, table=False):
    """A query of a panel; its series are named by the alias."""
    target = {"query": text, "rawQuery": True, "resultFormat": "table" if table else "time_series"}
    return target | ({"alias": alias} if alias else {})


def panel(kind, title, width, height, queries, options, description="", source=LASTBEAT, custom=None, overrides=(), **field):
    """A panel; what is left over describes its fields. Its place is found by `dashboard`."""
    return {
        "type": kind, "title": title, "description": description, "datasource": source,
        "gridPos": {"x": 0, "y": 0, "w": width, "h": height},
        "targets": [{"refId": chr(ord("A") + index), "datasource": source} | target for index, target in enumerate(queries)],
        "options": options,
        "fieldConfig": {"defaults": field | ({"custom": custom} if custom else {}), "overrides": list(overrides)},
    }


def chart(title, width, height, queries, unit="none", style=None, **more):
    """A panel with lines over time."""
    options = {
        "legend": {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    custom = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 10, "showPoints": "auto", "spanNulls": False} | (style or {})
    return panel("timeseries", title, width, height, queries, options, custom=custom, unit=unit, **more)


def table(title, width, height, text, names, units=None, **more):
    """A panel with the rows of one query. Columns that hold states are shown as such."""
    def column(name, *properties):
        return {"matcher": {"id": "byName", "options": name},
                "properties": [{"id": key, "value": value} for key, value in properties]}

    states = [column(name, ("mappings", MAPPINGS), ("custom.cellOptions", {"type": "color-text"})) for name in names]
    spans = [column(name, ("unit", unit), ("decimals", 3)) for name, unit in (units or {}).items()]
    custom = {"align": "auto", "cellOptions": {"type": "auto"}, "inspect": False}
    return panel("table", title, width, height, [query(text, table=True)], {"showHeader": True, "frameIndex": 0},
                 custom=custom, overrides=states + spans, **more)


def row(title, by, panels):
    """A row for each value of a variable, with its panels."""
    place = {"x": 0, "y": 0, "w": 24, "h": 1}
    return [{"type": "row", "title": title, "collapsed": False, "repeat": by, "gridPos": place, "panels": []}, *panels]


def variable(name, label, text, source=LASTBEAT, everything=".*", only=""):
    """A variable to choose from; all of it at first. `everything` stands for all in a query, so that it stays short."""
    chosen = {"text": ["All"], "value": ["$__all"], "selected": True}
    return {
        "type": "query", "name": name, "label": label, "datasource": source, "query": text, "regex": only,
        "refresh": 2, "sort": 1, "multi": True, "includeAll": True, "hide": 0, "skipUrlSync": False,
        "current": chosen, "options": [],
    } | ({"allValue": everything} if everything else {})


def flips():
    """The flips as annotations. The query stands twice: Grafana 9 reads the outer one, later ones the target's."""
    text = f'SELECT "text", "publisher", "to" FROM "flip" WHERE {THEIRS} ORDER BY time DESC LIMIT 1000'
    asked = {"name": "Flips", "query": text, "textColumn": "text", "tagsColumn": "publisher,to",
             "timeEndColumn": "", "titleColumn": ""}
    target = {"refId": "Flips", "queryType": "tags", "fromAnnotations": True, "rawQuery": True,
              "limit": 1000, "matchAny": False, "tags": [], "type": "tags"}
    return asked | {"datasource": LASTBEAT, "enable": True, "hide": False, "iconColor": "orange", "target": asked | target}


def dashboard(name, description, variables, panels, annotations=()):
    """The whole of a dashboard: panels stand from left to right and begin a new line when one doesn't fit."""
    x = y = line = 0
    for number, each in enumerate(panels, start=1):
        place = each["gridPos"]
        if x + place["w"] > 24:
            x, y, line = 0, y + line, 0
        place["x"], place["y"], each["id"] = x, y, number
        x, line = x + place["w"], max(line, place["h"])
    return {
        "uid": f"lastbeat-{name.lower()}", "title": f"Lastbeat: {name}", "description": description, "tags": ["lastbeat"],
        # Of Grafana 9.0; later ones bring it up to date when they read it.
        "schemaVersion": 36, "version": 1, "editable": False, "timezone": "browser", "graphTooltip": 1,
        "refresh": "5s", "timepicker": {"refresh_intervals": ["5s", "10s", "30s", "1m", "5m"]},
        "time": {"from": "now-15m", "to": "now"},
        "links": [{"type": "dashboards", "title": "Lastbeat", "tags": ["lastbeat"], "asDropdown": False, "includeVars": True,
                   "keepTime": True, "targetBlank": False, "icon": "external link", "tooltip": "", "url": ""}],
        "templating": {"list": variables}, "annotations": {"list": list(annotations)}, "panels": panels,
    }


def publishers_of(measurement):
    """The variables that choose publishers."""
    return [
        variable("host", "Host", f'SHOW TAG VALUES FROM "{measurement}" WITH KEY = "host"'),
        variable("publisher", "Publisher", f'SHOW TAG VALUES FROM "{measurement}" WITH KEY = "publisher" WHERE {HOST}'),
    ]


def sensors():
    # `last` takes numbers and booleans; `mean` would refuse all but numbers.
    text = f'SELECT last("${{field:raw}}") FROM "sensor" WHERE {THEIRS} GROUP BY time($__interval), "host" fill(none)'
    fields = variable("field", "Field", 'SHOW FIELD KEYS FROM "sensor"', everything=None, only="/^(?!row_time_ns$).+$/")
    reading = chart("${field:raw}", 8, 8, [query(text, "${field:raw} $tag_host")])
    reading |= {"repeat": "field", "repeatDirection": "h", "maxPerRow": 3}
    return dashboard("Sensors", "The readings of each publisher, a panel per field.", [*publishers_of("sensor"), fields],
                     row("${publisher:raw}", "publisher", [reading]), [flips()])


def heartbeats():
    now = f'SELECT last("state") AS "state" FROM "heartbeat" WHERE {THEIRS} GROUP BY "publisher"'

    def how_many(states):
        either = " OR ".join(f"\"state\" = '{state}'" for state in states)
        return f'SELECT count("state") FROM ({now}) WHERE {either}'

    alive, down = ["alive", "silent"], ["suspended", "failed", "dead", "finished"]
    answers = {"alive": (alive, "green"), "not alive": (down, "red"),
               "nothing claimed": ([state for state in STATES if state not in alive + down], "purple")}
    colors = [{"matcher": {"id": "byName", "options": answer},
               "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": color}}]}
              for answer, (_, color) in answers.items()]
    reduced = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    counts = panel(
        "stat", "Alive now", 6, 12, [query(how_many(states), answer) for answer, (states, _) in answers.items()],
        {"reduceOptions": reduced, "orientation": "auto", "textMode": "value_and_name", "colorMode": "value",
         "graphMode": "none", "justifyMode": "auto"},
        "Of what was told in the last five minutes.", overrides=colors, noValue="0") | {"timeFrom": "5m"}
    timeline = panel(
        "state-timeline", "State", 18, 12,
        [query(f'SELECT last("state") FROM "heartbeat" WHERE {THEIRS} {EACH}', "$tag_publisher")],
        {"mergeValues": True, "showValue": "auto", "alignValue": "left", "rowHeight": 0.9,
         "legend": {"showLegend": False, "displayMode": "list", "placement": "bottom", "calcs": []},
         "tooltip": {"mode": "single", "sort": "none"}},
        custom={"lineWidth": 0, "fillOpacity": 80}, mappings=MAPPINGS, color={"mode": "fixed", "fixedColor": "text"})
    latest = table(
        "Now", 24, 8,
        'SELECT last("state") AS "state", "cause", "silence_s", "threshold_s", "missed", "duplicates", "pid" '
        f'FROM "heartbeat" WHERE {THEIRS} GROUP BY "publisher", "host"', ["state"], {"silence_s": "s", "threshold_s": "s"})
    silence = chart(
        "Silence, as a share of the threshold", 12, 8,
        [query(f'SELECT max("silence_s") / last("threshold_s") FROM "heartbeat" WHERE {THEIRS} {EACH}', "$tag_publisher")],
        "percentunit", {"thresholdsStyle": {"mode": "line"}}, min=0,
        thresholds={"mode": "absolute", "steps": [{"color": "green", "value": None}, {"color": "red", "value": 1}]},
        color={"mode": "palette-classic"})
    lost = chart(
        "Messages missed and duplicate, so far", 12, 8,
        [query(f'SELECT max("{count}") FROM "heartbeat" WHERE {THEIRS} {EACH}', f"$tag_publisher {count}")
         for count in ("missed", "duplicates")], min=0, decimals=0)
    latency = chart(
        "Verdict latency", 12, 8,
        [query(f'SELECT "latency_s" FROM "flip" WHERE {THEIRS} GROUP BY "publisher"', "$tag_publisher")],
        "s", {"drawStyle": "points", "pointSize": 7, "showPoints": "always"}, min=0,
        description="From when it happened to when the watchdog knew.")
    told = table(
        "Flips", 12, 8,
        'SELECT "publisher", "host", "from", "to", "cause", "silence_s", "latency_s", "text" '
        f'FROM "flip" WHERE {THEIRS} ORDER BY time DESC LIMIT 100', ["from", "to"], {"silence_s": "s", "latency_s": "s"})
    return dashboard("Heartbeats", "Who is alive, who is not, and why.", publishers_of("heartbeat"),
                     [timeline, counts, latest, silence, lost, latency, told], [flips()])


def machines():
    def values(measurement, alias, only, tag=None, each='last("value")'):
        by = f', "{tag}"' if tag else ""
        where = f"{only} AND {HOST} AND $timeFilter"
        return query(f'SELECT {each} FROM "{measurement}" WHERE {where} GROUP BY time($__interval){by} fill(none)', alias)

    def per_second(measurement, alias):
        return values(measurement, alias, "\"type\" =~ /_octets$/", "instance", 'non_negative_derivative(last("value"), 1s)')

    busy = "\"type\" = 'percent' AND \"type_instance\" != 'idle'"
    memory, load = "\"type\" = 'memory'", "\"type\" = 'load'"
    stacked = {"stacking": {"mode": "normal", "group": "A"}, "fillOpacity": 40, "lineWidth": 0}
    panels = [
        chart("CPU", 8, 8, [values("cpu_value", "$tag_type_instance", busy, "type_instance")], "percent", stacked,
              source=MACHINES, min=0, max=100),
        chart("Memory", 8, 8, [values("memory_value", "$tag_type_instance", memory, "type_instance")], "bytes", stacked,
              source=MACHINES, min=0),
        chart("Load", 8, 8, [values(f"load_{term}term", f"{term} term", load) for term in ("short", "mid", "long")],
              "short", source=MACHINES, min=0),
        chart("Network", 12, 8, [per_second("interface_rx", "$tag_instance in"),
                                 per_second("interface_tx", "$tag_instance out")], "Bps", source=MACHINES, min=0),
        chart("Disk", 12, 8, [per_second("disk_read", "$tag_instance read"),
                              per_second("disk_write", "$tag_instance written")], "Bps", source=MACHINES, min=0),
    ]
    hosts = variable("host", "Host", 'SHOW TAG VALUES FROM "cpu_value" WITH KEY = "host"', MACHINES)
    return dashboard("Machines", "What collectd tells of each machine.", [hosts], row("${host:raw}", "host", panels))


def main():
    stale = []
    for board in (sensors(), heartbeats(), machines()):
        path = FOLDER / f"{board['uid'].removeprefix('lastbeat-')}.json"
        text = json.dumps(board, ensure_ascii=False, indent=2) + "\n"
        if "--check" not in sys.argv:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            stale.append(path.name)
    if stale:
        sys.exit(f"grafana/dashboards: {', '.join(stale)} not as dashboards.py makes it; run grafana/dashboards.py")


if __name__ == "__main__":
    main()
