//! What the machine has left: free disk of the file systems we write to, memory, memory stall, load. Must not decide.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;

use crate::domain::pressure::Pressure;

/// Reads the machine; `places` are directories that are written to. What cannot be read is left out.
pub fn read(places: &[PathBuf]) -> Pressure {
    Pressure {
        disk_free: places.iter().filter_map(|place| disk_free(place)).min(),
        memory_free: memory_free(),
        memory_stall: text("/proc/pressure/memory").and_then(|text| stall(&text)),
        load: text("/proc/loadavg").and_then(|text| load(&text, cores())),
    }
}

/// Cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Bytes of memory that can be had without swapping: of the machine, or of the control group we are in.
pub fn memory_free() -> Option<u64> {
    let machine = text("/proc/meminfo").and_then(|text| available(&text));
    let group = group_free();
    match (machine, group) {
        (Some(machine), Some(group)) => Some(machine.min(group)),
        (machine, group) => machine.or(group),
    }
}

/// Free bytes for us on the file system of the nearest directory above that exists.
#[allow(clippy::useless_conversion, reason = "the system's types are narrower elsewhere")]
fn disk_free(place: &Path) -> Option<u64> {
    let there = place.ancestors().find(|place| place.exists())?;
    let stat = statvfs(there).ok()?;
    Some(u64::from(stat.blocks_available()).saturating_mul(u64::from(stat.fragment_size())))
}

fn text(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// What the limit of our control group leaves, where there is one that can be seen.
fn group_free() -> Option<u64> {
    let own = text("/proc/self/cgroup")?;
    let group = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    let folder = Path::new("/sys/fs/cgroup").join(group.trim_start_matches('/'));
    let number = |name: &str| fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
    Some(number("memory.max")?.saturating_sub(number("memory.current")?))
}

/// Whole percent of `some avg10`.
fn stall(text: &str) -> Option<u32> {
    let line = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let average = line.split_whitespace().find_map(|field| field.strip_prefix("avg10="))?;
    average.split('.').next()?.parse().ok()
}

/// Load of the last minute per core, times 100.
fn load(text: &str, cores: usize) -> Option<u32> {
    let (whole, part) = text.split_whitespace().next()?.split_once('.')?;
    let hundredths = whole.parse::<u32>().ok()?.checked_mul(100)? + part.parse::<u32>().ok()?;
    Some(hundredths / u32::try_from(cores.max(1)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_the_kernel_are_read() {
        assert_eq!(available("MemTotal: 9 kB\nMemAvailable:   2048 kB\n"), Some(2 << 20));
        assert_eq!(available("MemTotal: 9 kB\n"), None);
        let pressure = "some avg10=41.25 avg60=1.00 avg300=0.00 total=5\nfull avg10=9.00 avg60=0 avg300=0 total=1\n";
        assert_eq!(stall(pressure), Some(41));
        assert_eq!(stall("full avg10=9.00\n"), None);
        assert_eq!(load("6.50 1.00 0.50 3/400 12345\n", 2), Some(325));
        assert_eq!(load("", 2), None);
    }

    #[test]
    fn a_place_that_is_not_there_yet_has_the_room_of_the_one_above() {
        let dir = tempfile::tempdir().unwrap();
        let reading = read(&[dir.path().join("not/there/yet")]);
        assert!(reading.disk_free.is_some_and(|free| free > 0), "{reading:?}");
    }
}
