//! [`Sensors`]: what this machine measures of itself. Says nothing that names the machine: no serials, no addresses.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use lastbeat_wire::{Monotonic, Value};
use sysinfo::{Components, CpuRefreshKind, Disks, MemoryRefreshKind, Networks, RefreshKind, System};

/// Disks smaller than this are mounted for something else than storing data.
const SMALLEST_DISK_BYTES: u64 = 1 << 20;

/// The sensors of this machine: processors, load, memory, disks, network, temperatures.
#[derive(Debug)]
pub struct Sensors {
    system: System,
    disks: Disks,
    networks: Networks,
    components: Components,
    sampled_at: Monotonic,
}

/// One value of one sensor; its name ends in its unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// For example `cpu_0_percent` or `memory_used_bytes`.
    pub name: String,
    /// An integer for counts and bytes, a float for the rest.
    pub value: Value<'static>,
}

/// Measurements on their way together.
#[derive(Default)]
struct Sample(Vec<Measurement>);

impl Sensors {
    /// The span after [`open`](Self::open) and between samples below which the load of the processors isn't known.
    pub const SHORTEST_INTERVAL: Duration = sysinfo::MINIMUM_CPU_UPDATE_INTERVAL;

    /// Finds the sensors, and takes the first look that rates are counted from.
    pub fn open(now: Monotonic) -> anyhow::Result<Self> {
        Ok(Self {
            system: System::new_with_specifics(what()).context("reading the processors and the memory")?,
            disks: Disks::new_with_refreshed_list().context("reading the disks")?,
            networks: Networks::new_with_refreshed_list().context("reading the network interfaces")?,
            components: Components::new_with_refreshed_list().context("reading the temperatures")?,
            sampled_at: now,
        })
    }

    /// Takes a sample; rates are averages since the one before.
    pub fn sample(&mut self, now: Monotonic) -> Vec<Measurement> {
        self.system.refresh_specifics(what());
        self.disks.refresh(true);
        self.networks.refresh(true);
        self.components.refresh(true);
        let elapsed = now.since(self.sampled_at);
        self.sampled_at = now;

        let mut sample = Sample::default();
        self.processors(&mut sample);
        self.memory(&mut sample);
        self.disks(&mut sample, elapsed);
        self.networks(&mut sample, elapsed);
        self.temperatures(&mut sample);
        sample.0
    }

    fn processors(&self, sample: &mut Sample) {
        sample.float("cpu_percent", f64::from(self.system.global_cpu_usage()), 2);
        for (place, cpu) in self.system.cpus().iter().enumerate() {
            sample.float(format!("cpu_{place}_percent"), f64::from(cpu.usage()), 2);
        }
        // A platform without a load average has no such columns.
        if let Ok(load) = System::load_average() {
            sample.float("load_1m", load.one, 2);
            sample.float("load_5m", load.five, 2);
            sample.float("load_15m", load.fifteen, 2);
        }
    }

    fn memory(&self, sample: &mut Sample) {
        sample.bytes("memory_total_bytes", self.system.total_memory());
        sample.bytes("memory_used_bytes", self.system.used_memory());
        sample.bytes("memory_available_bytes", self.system.available_memory());
        sample.bytes("swap_used_bytes", self.system.used_swap());
    }

    fn disks(&self, sample: &mut Sample, elapsed: Duration) {
        // One device may be mounted in many places: the shortest path stands for it.
        let mut devices = BTreeMap::new();
        for disk in self.disks.iter().filter(|disk| disk.total_space() >= SMALLEST_DISK_BYTES) {
            let known = devices.entry(disk.name()).or_insert(disk);
            if disk.mount_point().as_os_str().len() < known.mount_point().as_os_str().len() {
                *known = disk;
            }
        }
        for disk in devices.into_values() {
            let place = word(&disk.mount_point().to_string_lossy());
            let place = if place.is_empty() { "root" } else { &place };
            let usage = disk.usage();
            sample.bytes(format!("disk_{place}_used_bytes"), disk.total_space() - disk.available_space());
            sample.rate(format!("disk_{place}_read_bytes_per_second"), usage.read_bytes, elapsed);
            sample.rate(format!("disk_{place}_written_bytes_per_second"), usage.written_bytes, elapsed);
        }
    }

    fn networks(&self, sample: &mut Sample, elapsed: Duration) {
        // An interface that never carried anything is not worth a column.
        let used = |network: &sysinfo::NetworkData| network.total_received() + network.total_transmitted() > 0;
        let networks: BTreeMap<_, _> = self.networks.iter().filter(|(_, network)| used(network)).collect();
        for (name, network) in networks {
            let name = word(&name.to_string_lossy());
            sample.rate(format!("network_{name}_received_bytes_per_second"), network.received(), elapsed);
            sample.rate(format!("network_{name}_transmitted_bytes_per_second"), network.transmitted(), elapsed);
        }
    }

    fn temperatures(&self, sample: &mut Sample) {
        let mut named = BTreeMap::new();
        for component in &self.components {
            if let Some(celsius) = component.temperature() {
                // Two chips may bear one label; the first of them is as good as the other.
                named.entry(word(component.label())).or_insert(celsius);
            }
        }
        for (label, celsius) in named {
            sample.float(format!("temperature_{label}_celsius"), f64::from(celsius), 1);
        }
    }
}

impl Sample {
    fn float(&mut self, name: impl Into<String>, value: f64, digits: i32) {
        let scale = 10_f64.powi(digits);
        self.0.push(Measurement { name: name.into(), value: Value::Float((value * scale).round() / scale) });
    }

    fn bytes(&mut self, name: impl Into<String>, bytes: u64) {
        let value = Value::Integer(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.0.push(Measurement { name: name.into(), value });
    }

    /// Whole bytes per second; left out when no time has passed.
    #[expect(clippy::cast_precision_loss, reason = "a rate is not exact to begin with")]
    fn rate(&mut self, name: String, bytes: u64, elapsed: Duration) {
        if !elapsed.is_zero() {
            self.float(name, bytes as f64 / elapsed.as_secs_f64(), 0);
        }
    }
}

fn what() -> RefreshKind {
    RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing().with_usage()).with_memory(MemoryRefreshKind::everything())
}

/// A part of a column's name: lower-case letters, digits, single underscores.
fn word(text: &str) -> String {
    let mut word = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii_alphanumeric() {
            word.push(character.to_ascii_lowercase());
        } else if !word.is_empty() && !word.ends_with('_') {
            word.push('_');
        }
    }
    word.trim_end_matches('_').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_machine_has_processors_and_memory_and_each_name_is_there_once() {
        let mut sensors = Sensors::open(Monotonic(0)).unwrap();
        let sample = sensors.sample(Monotonic(1_000_000_000));
        let mut names: Vec<_> = sample.iter().map(|measurement| measurement.name.as_str()).collect();
        for expected in ["cpu_percent", "cpu_0_percent", "memory_used_bytes"] {
            assert!(names.contains(&expected), "{expected} is not in {names:?}");
        }
        names.sort_unstable();
        let total = names.len();
        names.dedup();
        assert_eq!(names.len(), total);
    }

    #[test]
    fn a_word_is_safe_in_a_column_name() {
        assert_eq!(word("/mnt/Big Disk/"), "mnt_big_disk");
        assert_eq!(word("Core #0 (°C)"), "core_0_c");
        assert_eq!(word("/"), "");
    }
}
