"""What Grafana does with the provisioning folder and the dashboards, as far as InfluxQL is concerned.

After the sources of Grafana: pkg/services/provisioning/values (environment), pkg/services/datasources/service (headers),
public/app/features/templating (variables), pkg/tsdb/influxdb/models/query.go (macros), pkg/tsdb/influxdb/influxql (requests,
frames). Panels are not drawn.
"""

import base64
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request

import yaml

ALL = "$__all"


class QueryError(Exception):
    """A query that InfluxDB refused, or whose answer a panel could not use."""


def expanded(value, environment):
    """A provisioning file's values with the environment's variables put in; what is not set is empty."""
    if isinstance(value, dict):
        return {key: expanded(inner, environment) for key, inner in value.items()}
    if isinstance(value, list):
        return [expanded(inner, environment) for inner in value]
    if isinstance(value, str):
        return re.sub(r"\$(\w+)|\$\{(\w+)\}", lambda name: environment.get(name[1] or name[2], ""), value)
    return value


def provisioned(folder, kind, environment):
    """What the files of one kind, `datasources` or `dashboards`, provision."""
    files = [yaml.safe_load(path.read_text()) for path in sorted((folder / kind).glob("*.yaml"))]
    lists = [file["providers" if kind == "dashboards" else kind] for file in files]
    return expanded([entry for entries in lists for entry in entries], environment)


class Source:
    """A data source as it was provisioned."""

    def __init__(self, settings):
        self.settings, self.json, self.secrets = settings, settings["jsonData"], settings["secureJsonData"]
        if (settings["type"], settings["access"], self.json["version"]) != ("influxdb", "proxy", "InfluxQL"):
            raise QueryError(f"not InfluxQL through Grafana's server: {settings}")

    def headers(self):
        """Numbered names and values; the first name that is empty ends them."""
        headers, number = {}, 1
        while name := self.json.get(f"httpHeaderName{number}", ""):
            headers[name] = self.secrets[f"httpHeaderValue{number}"]
            number += 1
        if self.settings["user"]:
            login = f"{self.settings['user']}:{self.secrets['password']}"
            headers.setdefault("Authorization", "Basic " + base64.b64encode(login.encode()).decode())
        return headers

    def ask(self, query):
        """The series of the one result; InfluxDB's errors are raised."""
        parameters = urllib.parse.urlencode({"db": self.json["dbName"], "epoch": "ms", "q": query})
        url, data = f"{self.settings['url']}/query", None
        if self.json["httpMode"] == "GET":
            url += "?" + parameters
        else:
            data = parameters.encode()
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data, self.headers()), timeout=30) as answer:
                result = json.load(answer)["results"][0]
        except urllib.error.HTTPError as error:
            raise QueryError(f"{query}: {error.code} {error.read().decode()}") from error
        if "error" in result:
            raise QueryError(f"{query}: {result['error']}")
        return result.get("series", [])


class Frame:
    """What a panel is given: a name, and columns of values."""

    def __init__(self, name, columns):
        self.name, self.columns = name, columns


class Board:
    """A dashboard with its data sources. What is chosen of each variable is in `chosen`: a list of values, or `ALL`."""

    def __init__(self, path, sources):
        self.json = json.loads(path.read_text())
        self.sources = sources
        self.variables = {variable["name"]: variable for variable in self.json["templating"]["list"]}
        self.chosen = {name: [ALL] for name in self.variables}

    def source(self, reference):
        return self.sources[reference["uid"]]

    def interpolate(self, text, scoped=None):
        """Puts variables in: `${name:format}`, `${name}` and `$name`; scoped ones are those of a repeated panel or row."""
        def value_of(match):
            name, form = (match[1], match[2] or "regex") if match[1] else (match[3], "regex")
            if scoped and name in scoped:
                values = scoped[name]
            elif name not in self.variables:
                return match[0]
            elif self.chosen[name] == [ALL]:
                if everything := self.variables[name].get("allValue"):
                    return everything
                values = self.options(name)
            else:
                values = self.chosen[name]
            values = [values] if isinstance(values, str) else values
            if form == "raw":
                return ",".join(values)
            if form != "regex":
                raise QueryError(f"format {form!r} of {name!r} is not known here")
            escaped = [re.sub(r"[\\^$*+?.()|\[\]{}/]", r"\\\g<0>", value) for value in values]
            return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"

        return re.sub(r"\$\{(\w+)(?::(\w+))?\}|\$(\w+)", value_of, text)

    def options(self, name):
        """The values of a variable, in order: those of the first series only."""
        variable = self.variables[name]
        query = self.interpolate(variable["query"])
        place = 1 if "show tag values" in query.lower() else 0
        series = self.source(variable["datasource"]).ask(query)[:1]
        found = {row[place] for one in series for row in one.get("values", [])}
        only = variable["regex"].strip("/") if variable["regex"] else ""
        return sorted(value for value in found if re.search(only, value))

    def query(self, reference, text, scoped=None, span="15m"):
        """A query with everything put in, and the series of its answer."""
        seconds = int(span[:-1]) * {"s": 1, "m": 60, "h": 3600}[span[-1]]
        now = int(time.time() * 1000)
        source = self.source(reference)
        query = self.interpolate(text, scoped)
        query = query.replace("$timeFilter", f"time >= {now - seconds * 1000}ms and time <= {now}ms")
        query = query.replace("$__interval", source.json["timeInterval"])
        return source.ask(query)

    def frames(self, target, reference, scoped=None, span="15m"):
        """What a target gives its panel: a table, or a frame for each series and column, named by the alias."""
        series = self.query(target.get("datasource", reference), target["query"], scoped, span)
        if target["resultFormat"] == "table":
            return [table(series)] if series else []
        alias = self.interpolate(target.get("alias", ""), scoped)
        return [
            Frame(named(alias, one, column), {name: [row[at] for row in one["values"]] for name, at in (("Time", 0), (column, place))})
            for one in series for place, column in enumerate(one["columns"]) if column != "time"
        ]

    def panels(self):
        """Each panel with the variables that repeat it."""
        by_row = None
        for panel in self.json["panels"]:
            if panel["type"] == "row":
                by_row = panel.get("repeat")
            else:
                yield panel, [name for name in (by_row, panel.get("repeat")) if name]

    def repeats(self, names):
        """The values of the repeating variables, one of each at a time."""
        scopes = [{}]
        for name in names:
            values = self.options(name) if self.chosen[name] == [ALL] else self.chosen[name]
            scopes = [scope | {name: value} for scope in scopes for value in values]
        return scopes


def table(series):
    """All series below each other, their tags as columns."""
    first = series[0]
    columns = {name: [] for name in ["Time", *first.get("tags", {}), *first["columns"][1:]]}
    for one in series:
        for row in one["values"]:
            for name, value in {"Time": row[0], **one.get("tags", {}), **dict(zip(one["columns"][1:], row[1:]))}.items():
                columns[name].append(value)
    return Frame(first["name"], columns)


def named(alias, series, column):
    """A series' name: `$tag_x`, `$col` and `$m` in an alias; without one the measurement and the column."""
    if not alias:
        return f"{series['name']}.{column}"
    known = {"col": column, "m": series["name"], "measurement": series["name"]}
    known |= {f"tag_{name}": value for name, value in series.get("tags", {}).items()}
    return re.sub(r"\$(\w+)", lambda name: known.get(name[1], name[0]), alias)
