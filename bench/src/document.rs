//! The page of the documentation, and the same on a terminal: targets, figures, what could not be measured.

use std::path::Path;

use anyhow::{Context, ensure};
use clap::ValueEnum;

use crate::cli::Group;
use crate::picture;
use crate::results::Results;
use crate::targets::{ALL, Target};

/// What is written stands between these lines; the rest of the page is somebody else's.
const BEGIN: &str = "<!-- written by make bench, from here -->";
const END: &str = "<!-- written by make bench, to here -->";
/// Beside the page.
const PICTURE: &str = "images/benchmarks.svg";

/// Writes into a page, and the picture beside it.
///
/// # Errors
/// When the page isn't there, or has no marks.
pub fn write(page: &Path, results: &Results) -> anyhow::Result<()> {
    let shown = || page.display().to_string();
    let text = std::fs::read_to_string(page).with_context(shown)?;
    std::fs::write(page, between(&text, &markdown(results)).with_context(shown)?).with_context(shown)?;
    let picture = page.with_file_name(PICTURE);
    std::fs::write(&picture, picture::draw(results)?).with_context(|| picture.display().to_string())
}

fn between(page: &str, text: &str) -> anyhow::Result<String> {
    let marks = page.find(BEGIN).zip(page.find(END));
    let (begin, end) = marks.with_context(|| format!("has no lines {BEGIN:?} and {END:?}"))?;
    ensure!(begin < end, "{END:?} stands before {BEGIN:?}");
    Ok(format!("{}{BEGIN}\n\n{text}\n{}", &page[..begin], &page[end..]))
}

fn verdict(target: &Target, results: &Results) -> &'static str {
    match target.met(results) {
        Some(true) => "met",
        Some(false) => "NOT met",
        None => "not measured",
    }
}

fn markdown(results: &Results) -> String {
    let count = |met| ALL.iter().filter(|target| target.met(results) == met).count();
    let mut text = format!(
        "{} of {} targets are met, {} are not, {} were not measured. **Bold** is what misses its target.\n\n\
         | target | measured | | bounded by |\n|---|---|---|---|\n",
        count(Some(true)),
        ALL.len(),
        count(Some(false)),
        count(None)
    );
    for target in ALL {
        let (measured, met) = (target.measured(results), verdict(target, results));
        text.push_str(&format!("| {} | {measured} | {met} | {} |\n", target.text, target.bound));
    }
    text.push_str(&format!("\n![What each way passes, side by side]({PICTURE})\n"));
    for group in Group::value_variants() {
        let name = group.name();
        let help =
            group.to_possible_value().and_then(|value| value.get_help().map(ToString::to_string)).unwrap_or_default();
        let own = |text: &str| text.split(['.', ':']).next() == Some(&name);
        let series: Vec<_> = results.series.iter().filter(|series| own(&series.key)).collect();
        let failures: Vec<_> = results.failures.iter().filter(|failure| own(failure)).collect();
        if series.is_empty() && failures.is_empty() {
            continue;
        }
        text.push_str(&format!("\n### `{name}`: {help}\n\n"));
        if let Some(made) = results.made.get(&name) {
            text.push_str(&format!("{made}.\n\n"));
        }
        text.push_str("| | median (least – most) |\n|---|---:|\n");
        for series in series {
            text.push_str(&format!("| {} | {} |\n", series.name, series.shown()));
        }
        for failure in failures {
            text.push_str(&format!("\nNot measured: {failure}\n"));
        }
    }
    text
}

/// For a terminal: the targets.
pub fn report(results: &Results) -> String {
    let line = |target: &Target| {
        let measured = target.measured(results).replace("**", "");
        format!("{:<12} {}\n             {measured}\n", verdict(target, results), target.text)
    };
    let mut text: String =
        ALL.iter().filter(|target| !target.measured(results).starts_with("not measured")).map(line).collect();
    for failure in &results.failures {
        text.push_str(&format!("NOT MEASURED {failure}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_around_the_marks_stays() {
        let page = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        assert_eq!(between(&page, "new").unwrap(), format!("before\n{BEGIN}\n\nnew\n{END}\nafter\n"));
        assert!(between("no marks", "new").is_err());
        assert!(between(&format!("{END}\n{BEGIN}"), "new").is_err());
    }

    #[test]
    fn without_figures_nothing_is_met() {
        let text = markdown(&Results::default());
        assert!(text.starts_with("0 of ") && !text.contains("| met |") && !text.contains("NOT met"), "{text}");
    }
}
