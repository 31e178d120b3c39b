//! Behaviour as data: every `scenarios/*.toml`, replayed in simulated time.

mod simulation;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use simulation::script::Script;
use simulation::story::{plain, shown};
use simulation::world::World;

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let entries = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect();
    files.retain(|path| !path.ends_with("Cargo.toml"));
    files.sort();
    files
}

/// What is not as the file says; empty if all is.
fn replay(text: &str) -> Result<String, toml::de::Error> {
    let script: Script = toml::from_str(text)?;
    let mut world = World::new(&script.watchdog, &script.publisher);
    let mut wrong = String::new();
    for step in &script.step {
        let at = u64::try_from(step.at.0).expect("a step is not before the beginning");
        assert!(at >= world.now, "the steps are in order of time");
        world.step(at, &step.event.0);
        let now = world.clock();
        for (publisher, expected) in &step.expect {
            let status = world.desk.status(now, publisher);
            for (key, value) in expected {
                let found = status.as_ref().and_then(|status| shown(status, key));
                let value = value.as_str().map_or(value.clone(), |text| toml::Value::String(plain(text)));
                if found.as_ref() != Some(&value) {
                    let at = simulation::span::format(step.at.0);
                    let found = found.map_or("nothing".to_owned(), |found| found.to_string());
                    writeln!(wrong, "  at {at}: {publisher}.{key} is {found}, not {value}").unwrap();
                }
            }
        }
    }
    let expected: Vec<_> = script.story.iter().map(|line| plain(line)).collect();
    let told: Vec<_> = world.desk.story.iter().map(|line| plain(line)).collect();
    if told != expected {
        writeln!(wrong, "  the story is another one:").unwrap();
        for line in told {
            writeln!(wrong, "  {} {line:?},", if expected.contains(&line) { ' ' } else { '+' }).unwrap();
        }
        for line in expected.iter().filter(|line| !world.desk.story.contains(line)) {
            writeln!(wrong, "  - {line:?}").unwrap();
        }
    }
    Ok(wrong)
}

#[test]
fn every_scenario_goes_as_its_file_says() {
    let mut wrong = String::new();
    let only = std::env::var("SCENARIO").unwrap_or_default();
    let files: Vec<_> = files().into_iter().filter(|file| file.to_string_lossy().contains(&only)).collect();
    assert!(!files.is_empty(), "no scenario is named {only:?}");
    for file in files {
        let found = match std::panic::catch_unwind(|| replay(&fs::read_to_string(&file).unwrap())) {
            Ok(found) => found.unwrap_or_else(|error| format!("{error}")),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                format!("  {}\n", text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("it panics"))
            }
        };
        if !found.is_empty() {
            writeln!(wrong, "{}:\n{found}", file.file_name().unwrap().display()).unwrap();
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn a_scenario_that_goes_wrong_is_told_apart() {
    let text = r#"
        about = "a wrong one"
        step = [{ at = "0s", event = "light sends beat", expect.light.state = "alive" }]
        story = []
        [publisher.light]
    "#;
    let wrong = replay(text).unwrap();
    assert!(wrong.contains("light.state is nothing, not \"alive\""), "{wrong}");
    let text = text
        .replace("light sends beat", "light starts\", \"light sends beat")
        .replace("event = \"", "event = [\"")
        .replace("beat\",", "beat\"],");
    let wrong = replay(&text).unwrap();
    assert!(wrong.contains("+ \"0s light unseen -> alive heard\""), "{wrong}");
    assert!(replay(&text.replace("starts", "smiles")).unwrap_err().to_string().contains("light smiles"));
}
