//! [`Points`] and [`Buckets`]: the two ways to collect a publisher's values: each as it is, or drawn together by time.

use lastbeat_wire::{UtcNanos, Value};

use super::fields::{FieldType, shortened};
use super::parameters::Range;
use crate::told::epoch_seconds;

/// Takes rows in the order of their time, each followed by its values.
pub trait Collect {
    /// A row begins.
    fn row(&mut self, time: UtcNanos);
    /// A value of that row; `field` is its field's place.
    fn value(&mut self, field: usize, value: Value<'_>);
}

/// Every row.
#[derive(Debug)]
pub struct Points {
    /// The rows' times in seconds since 1970.
    pub time: Vec<f64>,
    /// A column for each field.
    pub columns: Vec<PointColumn>,
}

/// One field's values.
#[derive(Debug, Clone, Default)]
pub struct PointColumn {
    /// The widest type that was seen.
    pub kind: Option<FieldType>,
    /// One for each row. Booleans are 0 and 1.
    pub values: Vec<Option<Value<'static>>>,
}

/// Rows of one span of time together; spans without a row are left out.
#[derive(Debug)]
pub struct Buckets {
    from: UtcNanos,
    width: u64,
    /// Which span the last bucket is.
    place: u64,
    /// The spans' starts in seconds since 1970.
    pub time: Vec<f64>,
    /// How many rows each of them has.
    pub rows: Vec<u64>,
    /// A column for each field.
    pub columns: Vec<BucketColumn>,
}

/// One field's figures.
#[derive(Debug, Clone, Default)]
pub struct BucketColumn {
    /// The widest type that was seen, text aside.
    pub kind: Option<FieldType>,
    /// One for each bucket, `None` where no row has a number.
    pub figures: Vec<Option<Figures>>,
}

/// What the numbers of one bucket were.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    count: u32,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// Their mean, between the two.
    pub mean: f64,
}

impl Points {
    /// For so many fields.
    pub fn new(fields: usize) -> Self {
        Self { time: Vec::new(), columns: vec![PointColumn::default(); fields] }
    }
}

impl Collect for Points {
    fn row(&mut self, time: UtcNanos) {
        self.time.push(epoch_seconds(time));
        self.columns.iter_mut().for_each(|column| column.values.push(None));
    }

    fn value(&mut self, field: usize, value: Value<'_>) {
        let column = &mut self.columns[field];
        column.kind = column.kind.max(Some(FieldType::of(&value)));
        let Some(place) = column.values.last_mut() else { return };
        *place = Some(match value {
            Value::Integer(integer) => Value::Integer(integer),
            Value::Float(float) => Value::Float(float),
            Value::Boolean(boolean) => Value::Integer(boolean.into()),
            Value::Text(text) => Value::Text(shortened(&text).into()),
        });
    }
}

impl Buckets {
    /// Parts `range` into at most `most` spans of one length.
    pub fn new(range: Range, most: usize, fields: usize) -> Self {
        Self {
            from: range.from,
            width: range.nanos().div_ceil(most.max(1) as u64),
            place: u64::MAX,
            time: Vec::new(),
            rows: Vec::new(),
            columns: vec![BucketColumn::default(); fields],
        }
    }

    /// The length of a span in seconds.
    #[expect(clippy::cast_precision_loss, reason = "what is lost of a length of weeks is less than a nanosecond")]
    pub fn width_s(&self) -> f64 {
        self.width as f64 / 1e9
    }
}

impl Collect for Buckets {
    fn row(&mut self, time: UtcNanos) {
        let place = time.0.abs_diff(self.from.0) / self.width;
        if place != self.place {
            self.place = place;
            self.time.push(epoch_seconds(UtcNanos(self.from.0.saturating_add_unsigned(place * self.width))));
            self.rows.push(0);
            self.columns.iter_mut().for_each(|column| column.figures.push(None));
        }
        if let Some(rows) = self.rows.last_mut() {
            *rows += 1;
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "beyond 2^53 a chart shows the nearest float")]
    fn value(&mut self, field: usize, value: Value<'_>) {
        let number = match value {
            Value::Integer(integer) => integer as f64,
            Value::Float(float) => float,
            Value::Boolean(boolean) => f64::from(u8::from(boolean)),
            Value::Text(_) => return,
        };
        let column = &mut self.columns[field];
        column.kind = column.kind.max(Some(FieldType::of(&value)));
        let Some(figures) = column.figures.last_mut() else { return };
        match figures {
            Some(figures) => figures.add(number),
            None => *figures = Some(Figures { count: 1, min: number, max: number, mean: number }),
        }
    }
}

impl Figures {
    fn add(&mut self, number: f64) {
        self.count = self.count.saturating_add(1);
        let count = f64::from(self.count);
        self.min = self.min.min(number);
        self.max = self.max.max(number);
        // Not by a sum: that of finite numbers may be infinite, which JSON can't say.
        self.mean = (self.mean + (number / count - self.mean / count)).clamp(self.min, self.max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Times from -500 to 500, in order, with a value that is any finite number, if there is one.
    fn rows() -> impl Strategy<Value = Vec<(i64, Option<f64>)>> {
        let value = proptest::option::of(proptest::num::f64::NORMAL | proptest::num::f64::ZERO);
        proptest::collection::vec((-500_i64..500, value), 0..300).prop_map(|mut rows| {
            rows.sort_by_key(|row| row.0);
            rows
        })
    }

    proptest! {
        #[test]
        fn no_row_and_no_peak_is_lost(rows in rows(), most in 1_usize..400, before in 0_i64..100, after in 0_i64..100) {
            let range = Range { from: UtcNanos(-500 - before), to: UtcNanos(500 + after) };
            let mut buckets = Buckets::new(range, most, 1);
            for (time, value) in &rows {
                buckets.row(UtcNanos(*time));
                if let Some(value) = value {
                    buckets.value(0, Value::Float(*value));
                }
            }
            let column = &buckets.columns[0];
            prop_assert!(buckets.time.len() <= most);
            prop_assert_eq!(column.figures.len(), buckets.time.len());
            prop_assert_eq!(buckets.rows.iter().sum::<u64>(), rows.len() as u64);
            prop_assert!(buckets.rows.iter().all(|rows| *rows > 0));
            prop_assert!(buckets.time.is_sorted());
            let values = || rows.iter().filter_map(|row| row.1);
            let figures: Vec<_> = column.figures.iter().flatten().collect();
            let greatest = |one: f64, other: f64| one.max(other);
            prop_assert_eq!(figures.iter().map(|figures| figures.max).reduce(greatest), values().reduce(greatest));
            prop_assert_eq!(figures.iter().map(|figures| figures.min).reduce(f64::min), values().reduce(f64::min));
            prop_assert!(figures.iter().all(|figures| figures.min <= figures.mean && figures.mean <= figures.max));
            let counted: usize = figures.iter().map(|figures| figures.count as usize).sum();
            prop_assert_eq!(counted, values().count());
        }

        #[test]
        fn a_mean_is_that_of_the_numbers(values in proptest::collection::vec(-1e6..1e6_f64, 1..200)) {
            let mut buckets = Buckets::new(Range { from: UtcNanos(0), to: UtcNanos(1) }, 1, 1);
            for value in &values {
                buckets.row(UtcNanos(0));
                buckets.value(0, Value::Float(*value));
            }
            let mean = values.iter().sum::<f64>() / f64::from(u32::try_from(values.len()).unwrap());
            let figures = buckets.columns[0].figures[0].unwrap();
            prop_assert!((figures.mean - mean).abs() < 1e-6, "{} is not {mean}", figures.mean);
        }
    }

    #[test]
    fn the_whole_of_time_makes_no_overflow() {
        let range = Range { from: UtcNanos(i64::MIN), to: UtcNanos(i64::MAX) };
        let mut buckets = Buckets::new(range, 2, 1);
        for time in [i64::MIN, -2, 0, i64::MAX - 1] {
            buckets.row(UtcNanos(time));
        }
        assert_eq!(buckets.rows, [2, 2]);
    }
}
