//! [`Schema`]: what the columns of one file are, found from its start and from what the user says of it.

use csv::ByteRecord;
use lastbeat_wire::{MAX_FIELD_NAME_BYTES, MAX_FIELDS};

use super::column::{Column, Tally};
use super::dialect::{find_delimiter, has_header, rows};
use super::error::CsvError;
use super::moment::TimeFormat;
use super::settings::{Header, Settings, TimeColumn, Untimed};

/// How many rows the types are found from.
const SAMPLE_ROWS: usize = 1000;
/// Of a hundred cells, how many must be times for a column to hold the rows' time.
const TIMES_PERCENT: usize = 95;

/// What the columns of a file are.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    /// The byte between cells.
    pub delimiter: u8,
    /// Whether the first row is names.
    pub header: bool,
    /// In the order of the file.
    pub columns: Vec<Role>,
}

/// What becomes of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Role {
    /// It is the row's time.
    Time {
        /// Its name.
        name: String,
        /// How it is written.
        format: TimeFormat,
    },
    /// It is a field.
    Field(Column),
}

impl Schema {
    /// Finds the schema from the complete rows that a file starts with.
    pub fn find(start: &[u8], settings: &Settings) -> Result<Self, CsvError> {
        let delimiter = settings.delimiter.unwrap_or_else(|| find_delimiter(start, SAMPLE_ROWS));
        let mut rows = rows(start, delimiter, 1 + SAMPLE_ROWS);
        let header = match settings.header {
            Header::Detect => has_header(&rows),
            Header::Present => true,
            Header::Absent => false,
        };
        let first = rows.first().cloned().ok_or_else(|| CsvError::Empty { path: settings.path.clone() })?;
        let header_row = header.then(|| rows.remove(0));
        rows.truncate(SAMPLE_ROWS);
        if first.len() > MAX_FIELDS {
            return Err(settings.wrong(format!("{} columns, at most {MAX_FIELDS} are taken", first.len())));
        }
        // A row of another width is a bad row; its cells say nothing of the columns.
        rows.retain(|row| row.len() == first.len());

        let given = given_names(header_row.as_ref(), first.len(), settings)?;
        let time = find_time(&rows, given.as_deref(), settings)?;
        let unnamed = || vec![String::new(); first.len()];
        let names = all_names(given.unwrap_or_else(unnamed), time.as_ref().map(|(place, _)| *place));
        let mut columns: Vec<_> =
            names.into_iter().enumerate().map(|(place, name)| field(place, name, &rows)).collect();
        for (name, kind) in &settings.types {
            let known = columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>();
            let column = columns.iter_mut().find(|column| column.name == *name);
            column.ok_or_else(|| settings.no_column("--type", name, &known))?.kind = Some(*kind);
        }
        if let Some(long) = columns.iter().find(|column| column.name.len() > MAX_FIELD_NAME_BYTES) {
            let start: String = long.name.chars().take(32).collect();
            return Err(settings.wrong(format!(
                "column {start:?}… has a name of {} bytes, at most {MAX_FIELD_NAME_BYTES} are taken",
                long.name.len()
            )));
        }
        let mut columns: Vec<_> = columns.into_iter().map(Role::Field).collect();
        if let Some((place, format)) = time
            && let Role::Field(column) = &columns[place]
        {
            columns[place] = Role::Time { name: column.name.clone(), format };
        }
        let schema = Self { delimiter, header, columns };
        schema.check_is_of_use(settings)?;
        Ok(schema)
    }

    fn check_is_of_use(&self, settings: &Settings) -> Result<(), CsvError> {
        let timed = self.columns.iter().any(|role| matches!(role, Role::Time { .. }));
        if !timed && settings.untimed == Untimed::Refused {
            return Err(settings.wrong(
                "no column with times was found, and --speed and --time file need one: see --time-column and --time-format"
                    .to_owned(),
            ));
        }
        if timed && self.columns.len() == 1 {
            return Err(settings.wrong("has no column but that of the time; --time-column none sends it".to_owned()));
        }
        Ok(())
    }
}

impl std::fmt::Display for Schema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let delimiter = char::from(self.delimiter).escape_default();
        write!(f, "{} header, delimiter '{delimiter}', columns", if self.header { "a" } else { "no" })?;
        for (place, role) in self.columns.iter().enumerate() {
            let comma = if place == 0 { " " } else { ", " };
            match role {
                Role::Time { name, format } => write!(f, "{comma}{name} (time, {format})")?,
                Role::Field(Column { name, kind: Some(kind) }) => write!(f, "{comma}{name} ({kind})")?,
                Role::Field(Column { name, kind: None }) => write!(f, "{comma}{name} (empty so far)")?,
            }
        }
        Ok(())
    }
}

/// The names that the user or the file gives.
fn given_names(
    header: Option<&ByteRecord>,
    width: usize,
    settings: &Settings,
) -> Result<Option<Vec<String>>, CsvError> {
    if let Some(names) = &settings.columns {
        if names.len() != width {
            return Err(settings.wrong(format!("--columns names {} columns, the file has {width}", names.len())));
        }
        return Ok(Some(names.clone()));
    }
    Ok(header.map(|row| row.iter().map(|cell| String::from_utf8_lossy(cell.trim_ascii()).into_owned()).collect()))
}

/// Gives a name to each column that has none, and one of its own to each that shares one.
fn all_names(given: Vec<String>, time: Option<usize>) -> Vec<String> {
    let alone = given.len() - usize::from(time.is_some()) == 1;
    let mut names: Vec<String> = Vec::with_capacity(given.len());
    for (place, name) in given.into_iter().enumerate() {
        let name = match name {
            name if !name.is_empty() => name,
            _ if alone && time != Some(place) => "value".to_owned(),
            _ if time == Some(place) => "time".to_owned(),
            _ => format!("column_{}", place + 1),
        };
        let unique = (1..).map(|count| if count == 1 { name.clone() } else { format!("{name}_{count}") });
        names.extend(unique.into_iter().find(|name| !names.contains(name)));
    }
    names
}

fn field(place: usize, name: String, rows: &[ByteRecord]) -> Column {
    let mut tally = Tally::default();
    rows.iter().filter_map(|row| row.get(place)).for_each(|cell| tally.add(cell));
    Column { name, kind: tally.kind() }
}

/// Which column holds the time, and how it is written.
fn find_time(
    rows: &[ByteRecord],
    names: Option<&[String]>,
    settings: &Settings,
) -> Result<Option<(usize, TimeFormat)>, CsvError> {
    let name_of = |place: usize| names.and_then(|names| names.get(place)).map(String::as_str);
    let width = rows.first().map_or(0, ByteRecord::len);
    let places = match &settings.time_column {
        TimeColumn::Nowhere => return Ok(None),
        TimeColumn::Detect => 0..width,
        TimeColumn::Named(name) => {
            let known = names.unwrap_or_default();
            let by_name = known.iter().position(|known| known == name);
            let by_number = name.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
            let place = by_name.or(by_number.filter(|place| *place < width));
            let place = place.ok_or_else(|| settings.no_column("--time-column", name, known))?;
            place..place + 1
        }
    };
    let is_said = matches!(settings.time_column, TimeColumn::Named(_));
    for place in places {
        let format = match &settings.time_format {
            // Both are said: nothing is left to be found.
            Some(format) if is_said => Some(format.clone()),
            Some(format) => best_format(rows, place, vec![format.clone()]),
            None => {
                best_format(rows, place, TimeFormat::candidates(if is_said { Some("time") } else { name_of(place) }))
            }
        };
        if let Some(format) = format {
            return Ok(Some((place, format)));
        }
    }
    if let (TimeColumn::Named(name), false) = (&settings.time_column, rows.is_empty()) {
        return Err(settings.wrong(format!("column {name:?} has no times in a known form; --time-format says theirs")));
    }
    Ok(None)
}

/// The format that fits nearly all of the cells, and more of them than any other does.
fn best_format(rows: &[ByteRecord], place: usize, candidates: Vec<TimeFormat>) -> Option<TimeFormat> {
    let cells: Vec<_> =
        rows.iter().filter_map(|row| row.get(place)).filter(|cell| !cell.trim_ascii().is_empty()).collect();
    let fitting = |format: &TimeFormat| {
        cells.iter().filter(|cell| std::str::from_utf8(cell).is_ok_and(|text| format.fits(text))).count()
    };
    let (format, fitting) = candidates
        .into_iter()
        .map(|format| (fitting(&format), format))
        // The first of equals: `max_by_key` would give the last.
        .fold(None, |best: Option<(usize, TimeFormat)>, next| match best {
            Some(best) if best.0 >= next.0 => Some(best),
            _ => Some(next),
        })
        .map(|(fitting, format)| (format, fitting))?;
    (fitting > 0 && fitting * 100 >= cells.len() * TIMES_PERCENT).then_some(format)
}
