//! The picture of what a threshold costs and buys: how soon trouble is found against how often nobody was in trouble.

use std::fmt::Display;
use std::path::Path;

use anyhow::{Context, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::costs::Cost;

const SIZE: (u32, u32) = (900, 560);
/// Readable on white and on black.
const INK: RGBColor = RGBColor(125, 125, 125);
const FOUND: RGBColor = RGBColor(47, 129, 247);
const FALSE: RGBColor = RGBColor(219, 109, 40);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws it into an SVG file; `command` stands below it.
pub fn draw(file: &Path, costs: &[Cost], command: &str) -> anyhow::Result<()> {
    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    let (above, below) = root.split_vertically(SIZE.1 - 34);
    let (found, alarms) = above.split_horizontally(SIZE.0 / 2);
    let finds = |quantile: fn(&Cost) -> f64| {
        costs.iter().filter(|cost| cost.found > 0).map(move |cost| (cost.threshold_s, quantile(cost))).collect()
    };
    let median: Vec<_> = finds(|cost| cost.after_begin.median_s);
    let p99: Vec<_> = finds(|cost| cost.after_begin.p99_s);
    let rates: Vec<_> = costs.iter().map(|cost| (cost.threshold_s, cost.false_alarms)).collect();
    let chosen = costs.iter().find(|cost| cost.chosen).map(|cost| cost.threshold_s);
    panel(
        &found,
        "trouble that only silence tells: found after",
        "seconds",
        &[("median", &median), ("99 %", &p99)],
        FOUND,
        chosen,
    )?;
    panel(&alarms, "false alarms", "per publisher and month", &[("", &rates)], FALSE, chosen)?;
    let small = ("sans-serif", 12).into_font().color(&INK);
    below.draw(&Text::new(command.to_owned(), (12, 10), small)).map_err(failed)?;
    root.present().map_err(failed)
}

/// One diagram over the thresholds, both axes logarithmic; the chosen threshold is marked.
#[allow(clippy::similar_names, reason = "the points of lines")]
fn panel(
    area: &Area<'_>,
    title: &str,
    unit: &str,
    lines: &[(&str, &[(f64, f64)])],
    colour: RGBColor,
    chosen: Option<f64>,
) -> anyhow::Result<()> {
    let points = || lines.iter().flat_map(|(_, points)| points.iter());
    let least = |of: fn(&(f64, f64)) -> f64| points().map(of).filter(|value| *value > 0.0).fold(f64::MAX, f64::min);
    let most = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(0.0, f64::max);
    if points().count() == 0 {
        return Err(anyhow!("nothing was found at any threshold: simulate for longer, or more publishers"));
    }
    let floor = least(|point| point.1).min(most(|point| point.1)).clamp(0.001, 1e9) * 0.7;
    let across = least(|point| point.0) * 0.85..most(|point| point.0) * 1.18;
    let up = floor..(most(|point| point.1) * 1.5).max(floor * 10.0);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 16).into_font().color(&INK))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(58)
        .build_cartesian_2d(across.log_scale(), up.clone().log_scale())
        .map_err(failed)?;
    let label = ("sans-serif", 13).into_font().color(&INK);
    chart
        .configure_mesh()
        .x_labels(5)
        .max_light_lines(1)
        .bold_line_style(INK.mix(0.35))
        .light_line_style(INK.mix(0.12))
        .axis_style(INK)
        .label_style(label.clone())
        .x_desc("threshold in seconds")
        .y_desc(unit)
        .axis_desc_style(label.clone())
        .x_label_formatter(&|value| plain(*value))
        .y_label_formatter(&|value| plain(*value))
        .draw()
        .map_err(failed)?;
    if let Some(chosen) = chosen {
        let ends = [(chosen, up.start), (chosen, up.end)];
        chart.draw_series(DashedLineSeries::new(ends, 4, 4, INK.stroke_width(1))).map_err(failed)?;
        let text = format!("{} s", plain(chosen));
        chart.draw_series([Text::new(text, (chosen * 1.04, up.end * 0.9), label.clone())]).map_err(failed)?;
    }
    for (place, (name, points)) in lines.iter().enumerate() {
        let shade = if place == 0 { colour.to_rgba() } else { colour.mix(0.55) };
        let drawn: Vec<_> = points.iter().map(|(x, y)| (*x, y.max(up.start))).collect();
        chart.draw_series(LineSeries::new(drawn.iter().copied(), shade.stroke_width(2))).map_err(failed)?;
        chart.draw_series(drawn.iter().map(|point| Circle::new(*point, 4, shade.filled()))).map_err(failed)?;
        let (x, y) = drawn.first().context("a line without points").copied()?;
        let named = Text::new((*name).to_owned(), (x, y * 1.25), label.clone().color(&shade));
        chart.draw_series([named]).map_err(failed)?;
    }
    Ok(())
}

fn plain(value: f64) -> String {
    if value >= 1.0 { format!("{value:.0}") } else { format!("{value}") }
}

fn failed(error: impl Display) -> anyhow::Error {
    anyhow!("{error}")
}
