//! The picture: panels of bars, ours coloured, what bounds or replaces us grey.

use anyhow::anyhow;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::results::{Results, show};

/// Readable on white and on black.
const INK: RGBColor = RGBColor(125, 125, 125);
const OURS: RGBColor = RGBColor(47, 129, 247);
const WIDTH: i32 = 900;
/// Where bars begin, and the longest they get.
const BARS_AT: i32 = 312;
const LONGEST: i32 = 430;
const ROW: i32 = 22;
const HEAD: i32 = 36;

/// Bars that share a scale.
struct Panel {
    title: &'static str,
    bars: &'static [Bar],
}

/// One figure.
struct Bar {
    key: &'static str,
    label: &'static str,
    ours: bool,
}

const fn ours(key: &'static str, label: &'static str) -> Bar {
    Bar { key, label, ours: true }
}

const fn other(key: &'static str, label: &'static str) -> Bar {
    Bar { key, label, ours: false }
}

const PANELS: &[Panel] = &[
    Panel {
        title: "Over ZeroMQ, JSON: longer is better",
        bars: &[
            other("way.proxy_json", "bare proxy, a receiver that counts"),
            ours("way.lines_json", "parse, state, line protocol; no log"),
            ours("way.log_json", "broker, subscriber, durable log"),
            ours("way.store_json", "the same and the embedded store"),
        ],
    },
    Panel {
        title: "Over ZeroMQ, MessagePack",
        bars: &[
            other("way.proxy_msgpack", "bare proxy, a receiver that counts"),
            ours("way.lines_msgpack", "parse, state, line protocol; no log"),
            ours("way.log_msgpack", "broker, subscriber, durable log"),
            ours("way.store_msgpack", "the same and the embedded store"),
        ],
    },
    Panel {
        title: "Into InfluxDB: longer is better",
        bars: &[
            other("influx.ready", "ready-made lines, 2 writers"),
            ours("influx.backlog", "a backlog from the log"),
            ours("influx.pipeline", "broker, subscriber"),
            other("influx.python_lines", "Python, batches of lines"),
            other("influx.python_dicts", "Python, batches of dicts"),
            other("influx.python_point", "Python, point by point"),
        ],
    },
    Panel {
        title: "Over Mosquitto: longer is better",
        bars: &[
            other("mqtt.bare_0", "QoS 0, a client that counts"),
            ours("mqtt.log_0", "QoS 0, subscriber, durable log"),
            other("mqtt.bare_1", "QoS 1, a client that counts"),
            ours("mqtt.log_1", "QoS 1, subscriber, durable log"),
        ],
    },
    Panel {
        title: "A local process is killed, until it is told: shorter is better",
        bars: &[
            ours("peers.death", "subscriber"),
            other("peers.monit", "monit, cycle of 1 s"),
            other("peers.supervisord", "supervisord"),
        ],
    },
    Panel {
        title: "A process is stopped (SIGSTOP), until it is told: shorter is better",
        bars: &[
            ours("peers.stop", "subscriber, threshold 600 ms"),
            other("peers.will", "Mosquitto's will, keepalive 1 s"),
        ],
    },
    Panel {
        title: "CPU of the subscriber a message, by the number of publishers: shorter is better",
        bars: &[
            ours("scale.message_10_cpu", "10"),
            ours("scale.message_1000_cpu", "1,000"),
            ours("scale.message_100000_cpu", "100,000"),
            ours("scale.message_1000000_cpu", "1,000,000"),
        ],
    },
];

impl Panel {
    fn height(&self) -> i32 {
        self.bars.iter().fold(HEAD, |height, _| height + ROW)
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws what was measured, as SVG.
pub fn draw(results: &Results) -> anyhow::Result<String> {
    let measured = |panel: &&Panel| panel.bars.iter().any(|bar| results.median(bar.key).is_some());
    let panels: Vec<_> = PANELS.iter().filter(measured).collect();
    let height = panels.iter().map(|panel| panel.height()).sum::<i32>() + 16;
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH as u32, height as u32)).into_drawing_area();
        let mut top = 0;
        for panel in panels {
            draw_panel(&area, panel, results, top)?;
            top += panel.height();
        }
        area.present().map_err(|error| anyhow!("{error}"))?;
    }
    Ok(svg)
}

fn draw_panel(area: &Area<'_>, panel: &Panel, results: &Results, top: i32) -> anyhow::Result<()> {
    let failed = |error| anyhow!("{error}");
    let text = |text: String, at: (i32, i32), style: (&'static str, i32), to: HPos| {
        let style = style.into_font().color(&INK).pos(Pos::new(to, VPos::Center));
        area.draw(&Text::new(text, at, style))
    };
    text(panel.title.to_owned(), (12, top + HEAD - 13), ("sans-serif", 15), HPos::Left).map_err(failed)?;
    let most = panel.bars.iter().filter_map(|bar| results.median(bar.key)).fold(0.0, f64::max);
    for (place, bar) in (0..).zip(panel.bars) {
        let middle = top + HEAD + ROW * place + ROW / 2;
        text(bar.label.to_owned(), (BARS_AT - 10, middle), ("sans-serif", 13), HPos::Right).map_err(failed)?;
        let Some(series) = results.find(bar.key) else {
            text("not measured".to_owned(), (BARS_AT + 4, middle), ("sans-serif", 12), HPos::Left).map_err(failed)?;
            continue;
        };
        let length = (series.median() / most * f64::from(LONGEST)).max(1.5) as i32;
        let colour = if bar.ours { OURS.to_rgba() } else { INK.mix(0.55) };
        let corners = [(BARS_AT, middle - 7), (BARS_AT + length, middle + 7)];
        area.draw(&Rectangle::new(corners, colour.filled())).map_err(failed)?;
        let shown = show(series.unit, series.median());
        text(shown, (BARS_AT + length + 8, middle), ("sans-serif", 13), HPos::Left).map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Unit;

    #[test]
    fn only_panels_with_figures_are_drawn() {
        let mut results = Results::default();
        results.add("peers.death", "", Unit::Millis, 2.0);
        results.add("peers.monit", "", Unit::Millis, 900.0);
        let svg = draw(&results).unwrap();
        assert!(svg.contains("2.00 ms") && svg.contains("900 ms") && svg.contains("not measured"), "{svg}");
        assert!(!svg.contains("Mosquitto"));
    }
}
