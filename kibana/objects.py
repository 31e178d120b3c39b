#!/usr/bin/python3
"""The source of lastbeat.ndjson, what Kibana and OpenSearch Dashboards import: a data view and a dashboard of it.

Writes it beside itself; with --check only says whether it is up to date, and whether each field that it names has a type in the
index template (subscriber/src/index/template.json). The panels are of the classic kinds (line, table, metric), saved as Kibana 7.10
saved them: from that version on both Kibana and OpenSearch Dashboards bring older objects up to date when they import them.
"""

import json
import pathlib
import sys

FOLDER = pathlib.Path(__file__).resolve().parent
FILE = FOLDER / "lastbeat.ndjson"
TEMPLATE = FOLDER.parent / "subscriber/src/index/template.json"
VERSION = "7.10.0"
DATA_VIEW = "lastbeat"
# With --index …?index=NAME change it to NAME, in Kibana: the title of the data view.
INDICES = "logstash-*"
REFERENCE = "kibanaSavedObjectMeta.searchSourceJSON.index"
WIDTH = 48


def text(value):
    """Kibana keeps JSON in texts."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def metric(kind, field=None, label=None, number=1):
    """What is computed of each bucket."""
    params = ({"field": field} if field else {}) | ({"customLabel": label} if label else {})
    return {"id": str(number), "enabled": True, "type": kind, "schema": "metric", "params": params}


def over_time(number=2):
    params = {"field": "@timestamp", "useNormalizedEsInterval": True, "interval": "auto", "min_doc_count": 1, "drop_partials": False,
              "extended_bounds": {}}
    return {"id": str(number), "enabled": True, "type": "date_histogram", "schema": "segment", "params": params}


def by(field, schema, number, label=None, size=20, order="_key"):
    """The values of a field, each by itself."""
    params = {"field": field, "orderBy": order, "order": "asc" if order == "_key" else "desc", "size": size, "otherBucket": False,
              "otherBucketLabel": "Other", "missingBucket": False, "missingBucketLabel": "Missing"}
    return {"id": str(number), "enabled": True, "type": "terms", "schema": schema,
            "params": params | ({"customLabel": label} if label else {})}


def visualization(name, title, kind, query, aggs, params, description=""):
    """A panel as an object of its own."""
    source = {"query": {"language": "kuery", "query": query}, "filter": [], "indexRefName": REFERENCE}
    return {
        "type": "visualization", "id": f"lastbeat-{name}",
        "attributes": {
            "title": f"Lastbeat: {title}", "description": description, "version": 1, "uiStateJSON": "{}",
            "visState": text({"title": f"Lastbeat: {title}", "type": kind, "aggs": aggs, "params": params}),
            "kibanaSavedObjectMeta": {"searchSourceJSON": text(source)},
        },
        "references": [{"name": REFERENCE, "type": "index-pattern", "id": DATA_VIEW}],
    }


def lines(name, title, query, value, group, axis, kind="avg", description=""):
    """A line over time for each value of a field."""
    label = {"text": axis}
    params = {
        "type": "line", "addLegend": True, "legendPosition": "right", "addTooltip": True, "addTimeMarker": False, "times": [],
        "grid": {"categoryLines": False}, "labels": {}, "thresholdLine": {"show": False, "value": 10, "width": 1, "style": "full", "color": "#E7664C"},
        "categoryAxes": [{"id": "CategoryAxis-1", "type": "category", "position": "bottom", "show": True, "style": {}, "scale": {"type": "linear"},
                          "labels": {"show": True, "filter": True, "truncate": 100}, "title": {}}],
        "valueAxes": [{"id": "ValueAxis-1", "name": "LeftAxis-1", "type": "value", "position": "left", "show": True, "style": {},
                       "scale": {"type": "linear", "mode": "normal"}, "title": label,
                       "labels": {"show": True, "rotate": 0, "filter": False, "truncate": 100}}],
        "seriesParams": [{"show": True, "type": "line", "mode": "normal", "data": {"label": axis, "id": "1"}, "valueAxis": "ValueAxis-1",
                          "drawLinesBetweenPoints": True, "lineWidth": 2, "interpolate": "linear", "showCircles": True}],
    }
    aggs = [metric(kind, value, axis), over_time(), by(group, "group", 3)]
    return visualization(name, title, "line", query, aggs, params, description)


def rows(name, title, query, metrics, groups, description=""):
    """A table with a row for each combination of the fields' values."""
    params = {"perPage": 10, "showPartialRows": False, "showMetricsAtAllLevels": False, "showTotal": False, "totalFunc": "sum",
              "percentageCol": "", "sort": {"columnIndex": None, "direction": None}}
    aggs = metrics + [by(field, "bucket", number, label) for number, (field, label) in enumerate(groups, start=len(metrics) + 1)]
    return visualization(name, title, "table", query, aggs, params, description)


def count(name, title, query, field, label, description=""):
    """One large number: how many values a field has."""
    params = {
        "addTooltip": True, "addLegend": False, "type": "metric",
        "metric": {"percentageMode": False, "useRanges": False, "colorSchema": "Green to Red", "metricColorMode": "None",
                   "colorsRange": [{"from": 0, "to": 10000}], "labels": {"show": True}, "invertColors": False,
                   "style": {"bgFill": "#000", "bgColor": False, "labelColor": False, "subText": "", "fontSize": 60}},
    }
    return visualization(name, title, "metric", query, [metric("cardinality", field, label)], params, description)


def panels():
    """Each panel with its width and height; they stand from left to right."""
    pings = "kind : ping"
    latest = {"sortField": "@timestamp", "sortOrder": "desc", "size": 1, "aggregate": "concat"}

    def last(field, label, number):
        agg = metric("top_hits", field, label, number)
        return agg | {"params": agg["params"] | latest}

    return [
        (lines("latency-by-target", "Latency by target", pings, "avg", "target", "Mean round trip, ms"), 24, 15),
        (lines("latency-by-agent", "Latency by agent", pings, "avg", "agent", "Mean round trip, ms"), 24, 15),
        (lines("loss-by-target", "Loss by target", pings, "loss", "target", "Loss, %"), 24, 15),
        (lines("loss-by-agent", "Loss by agent", pings, "loss", "agent", "Loss, %"), 24, 15),
        (count("dead", "Dead agents", "kind : flip and to : dead and agent : *", "agent", "agents died",
               "Those judged dead in the time shown, whether they came back or not."), 12, 15),
        (rows("dead-agents", "Deaths and wills", "agent : * and ((kind : flip and to : dead) or kind : will)",
              [metric("max", "@timestamp", "Last")], [("agent", "Agent"), ("kind", "Kind")]), 36, 15),
        (rows("spread", "Round trips and errors", pings,
              [metric("min", "min", "Min, ms", 1), metric("avg", "avg", "Avg, ms", 2), metric("max", "max", "Max, ms", 3),
               metric("avg", "stddev", "Std dev, ms", 4), metric("avg", "loss", "Loss, %", 5), last("error.keyword", "Last error", 6)],
              [("target", "Target"), ("agent", "Agent")]), 48, 15),
        (rows("judgements", "How targets stand", "kind : judgement and target : *", [last("level", "Level", 1), last("text", "Text", 2)],
              [("target", "Target")]), 24, 15),
        (rows("refused", "Messages that could not be read", "kind : refused", [metric("count", label="Messages")],
              [("topic", "Topic"), ("error.keyword", "Why")]), 24, 15),
    ]


def dashboard(placed):
    """The dashboard of these panels."""
    x = y = line = 0
    grid, references = [], []
    for number, (panel, width, height) in enumerate(placed, start=1):
        if x + width > WIDTH:
            x, y, line = 0, y + line, 0
        name = f"panel_{number}"
        grid.append({"panelIndex": str(number), "gridData": {"x": x, "y": y, "w": width, "h": height, "i": str(number)}, "version": VERSION,
                     "embeddableConfig": {}, "panelRefName": name})
        references.append({"name": name, "type": "visualization", "id": panel["id"]})
        x, line = x + width, max(line, height)
    attributes = {
        "title": "Lastbeat: Swarm", "description": "What a swarm's agents find out, and who of them is dead.", "version": 1, "hits": 0,
        "panelsJSON": text(grid), "optionsJSON": text({"useMargins": True, "hidePanelTitles": False}),
        "timeRestore": True, "timeFrom": "now-1h", "timeTo": "now", "refreshInterval": {"pause": False, "value": 10000},
        "kibanaSavedObjectMeta": {"searchSourceJSON": text({"query": {"language": "kuery", "query": ""}, "filter": []})},
    }
    return {"type": "dashboard", "id": "lastbeat-swarm", "attributes": attributes, "references": references}


def objects():
    """All of them, whatever is referred to first."""
    view = {"type": "index-pattern", "id": DATA_VIEW, "attributes": {"title": INDICES, "timeFieldName": "@timestamp"}, "references": []}
    placed = panels()
    migrated = {"index-pattern": "7.6.0", "visualization": "7.10.0", "dashboard": "7.9.3"}
    every = [view, *(panel for panel, _, _ in placed), dashboard(placed)]
    return [each | {"migrationVersion": {each["type"]: migrated[each["type"]]}} for each in every]


def typed():
    """The fields of the template, those within others too, and their types."""
    found = {}
    for name, field in json.loads(TEMPLATE.read_text())["template"]["mappings"]["properties"].items():
        found[name] = field["type"]
        found |= {f"{name}.{inner}": each["type"] for inner, each in field.get("fields", {}).items()}
    return found


def wrong(every):
    """What a server would not answer: fields without a type, or of one that the panel can't work with."""
    numbers, types = {"long", "double", "date"}, typed()
    ids = {(each["type"], each["id"]) for each in every}
    for each in every:
        for reference in each["references"]:
            if (reference["type"], reference["id"]) not in ids:
                yield f"{each['id']} refers to {reference['id']}, which is not there"
        if each["type"] != "visualization":
            continue
        for agg in json.loads(each["attributes"]["visState"])["aggs"]:
            field = agg["params"].get("field")
            if field is None:
                continue
            kind = types.get(field)
            wanted = {"terms": {"keyword"}, "cardinality": {"keyword"}, "date_histogram": {"date"}, "top_hits": set(types.values())}
            if kind not in wanted.get(agg["type"], numbers):
                yield f"{each['id']}: {agg['type']} of {field}, which is {kind or 'not in the template'}"
        query = json.loads(each["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])["query"]["query"]
        words = query.replace("(", " ").replace(")", " ").split()
        for name in (words[place - 1] for place, word in enumerate(words) if word == ":"):
            if name not in types:
                yield f"{each['id']}: its query asks for {name}, which is not in the template"


def main():
    every = objects()
    if errors := list(wrong(every)):
        sys.exit("kibana/objects: " + "\n".join(errors))
    written = "".join(text(each) + "\n" for each in every)
    if "--check" not in sys.argv:
        FILE.write_text(written)
    elif not FILE.exists() or FILE.read_text() != written:
        sys.exit("kibana/objects: lastbeat.ndjson is not as objects.py makes it; run kibana/objects.py")


if __name__ == "__main__":
    main()
