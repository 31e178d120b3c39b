//! Fields without end.

use super::{Place, readings, refused_rows};
use crate::support::count;

#[test]
fn one_that_makes_up_names_is_stopped_at_its_limit_and_lives_on() {
    let mut place = Place::new("");
    let mut hostile = place.hostile();
    let reading = |start: usize, count: usize| {
        let fields: Vec<_> = (start..start + count).map(|number| format!("\"field {number}\":{number}")).collect();
        format!("{{{}}}", fields.join(","))
    };
    for start in 0..6 {
        hostile.raw("sensor/hostile", reading(start * 1024, 1024).as_bytes());
        place.beside();
    }
    // Those it had it may go on with.
    hostile.raw("sensor/hostile", reading(7, 3).as_bytes());
    place.refused("fields", 2);
    let told = place.subscriber.logged("can't be read");
    assert!(
        told.contains("sensor/hostile") && told.contains("field 4096") && told.contains("4096 different"),
        "{told}"
    );
    let dir = place.end(200);
    assert_eq!(readings(dir.path(), "hostile"), 5);
    assert_eq!(count(dir.path(), "SELECT count(*) FROM fields"), 4096 + 1, "the bystander has one");
    assert_eq!(refused_rows(dir.path()), 2);
}
