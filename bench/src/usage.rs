//! What a process has used: CPU and memory, from `/proc`.

use anyhow::Context;

/// The CPU time of all its threads so far, those that have ended included, in seconds (`/proc/PID/stat`, fields 14 and 15, in
/// ticks of which Linux has 100 a second).
pub fn cpu_seconds(pid: i32) -> anyhow::Result<f64> {
    let text = read(pid, "stat")?;
    // The name may hold spaces; behind its last bracket the third field follows.
    let fields: Vec<_> = text.rsplit(')').next().unwrap_or_default().split_ascii_whitespace().collect();
    let ticks = |field: usize| -> anyhow::Result<f64> { Ok(fields.get(field - 3).context("too few fields")?.parse()?) };
    Ok((ticks(14)? + ticks(15)?) / 100.0)
}

/// The memory that is resident.
pub fn resident_bytes(pid: i32) -> anyhow::Result<u64> {
    let text = read(pid, "status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes * 1024)
}

fn read(pid: i32, file: &str) -> anyhow::Result<String> {
    let path = format!("/proc/{pid}/{file}");
    std::fs::read_to_string(&path).context(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_takes_memory_and_time() {
        let own = std::process::id().cast_signed();
        assert!(resident_bytes(own).unwrap() > 100_000);
        assert!(cpu_seconds(own).unwrap() >= 0.0);
    }
}
