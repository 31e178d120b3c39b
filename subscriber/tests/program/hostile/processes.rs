//! Processes that are claimed: of somebody else, of the system, of the subscriber, of nobody.

use super::{Place, files, get, wait_until};
use crate::support::child;
use lastbeat_host::Own;
use lastbeat_wire::{Body, Encoding, Fields, Header, Message, ProcessIdentity, Reading, Value, encode};

fn reading(process: ProcessIdentity) -> Vec<u8> {
    let fields: Fields<'_> = [("value".into(), Value::Integer(1))].into_iter().collect();
    let header = Header { process: Some(process), ..Header::default() };
    let body = Body::Reading(Reading { fields, ..Reading::default() });
    encode(&Message { header, body, log: None }, Encoding::Json)
}

#[test]
fn many_ids_of_one_process_and_many_processes_of_one_id_cost_few_files() {
    let mut place = Place::new("");
    let mut hostile = place.hostile();
    let (mut victim, process) = child();
    let before = files(place.subscriber.pid());
    for id in 0..1_000 {
        hostile.raw(&format!("sensor/many/{id}"), &reading(process));
    }
    let own = Own::read().unwrap().process;
    let others: Vec<_> = (0..50).map(|_| child()).collect();
    for (_, other) in &others {
        hostile.raw("sensor/hostile", &reading(*other));
        place.beside();
    }
    // Of nobody, of the system's first process, of the subscriber itself.
    for pid in [0, 1, u32::MAX, place.subscriber.pid()] {
        hostile.raw(&format!("sensor/claims/{pid}"), &reading(ProcessIdentity { pid, start: 1, ..own }));
    }
    wait_until(|| get(&place.url, "/api/v1/publishers").matches("\"id\":").count() == 1 + 1_000 + 1 + 4);
    let now = files(place.subscriber.pid());
    assert!(now < before + 30, "{now} files, {before} before");
    // All of them are told of its end.
    victim.kill().unwrap();
    victim.wait().unwrap();
    wait_until(|| place.metric("lastbeat_publishers{state=\"dead\"}") >= 1_000);
    for (mut other, _) in others {
        other.kill().unwrap();
        other.wait().unwrap();
    }
    place.end(200);
}
