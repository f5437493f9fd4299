//! What the machine has left, and how many agents may start by that. Must not look at the machine; readings are arguments.

use serde::Serialize;

/// A reading; what could not be read is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pressure {
    /// Free bytes of the fullest file system we write to.
    pub disk_free: Option<u64>,
    /// Bytes of memory that can be had without swapping.
    pub memory_free: Option<u64>,
    /// Percent of the last 10 s in which something waited for memory.
    pub memory_stall: Option<u32>,
    /// Processes that want to run, per core, times 100.
    pub load: Option<u32>,
}

/// When starts are held back; 0 switches a guard off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Floors {
    /// Free bytes of disk below which nothing starts.
    pub disk: u64,
    /// Free bytes of memory below which nothing starts beside what is at work.
    pub memory: u64,
    /// Percent of memory stall above which the same holds.
    pub memory_stall: u32,
    /// Load per core above which the same holds.
    pub load: u32,
}

impl Default for Floors {
    fn default() -> Self {
        Self { disk: 512 << 20, memory: 256 << 20, memory_stall: 40, load: 16 }
    }
}

/// Whether another agent may start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Room {
    /// It may.
    Free,
    /// Only when none is at work: the machine is busy.
    Busy(String),
    /// Not at all: the disk is full.
    Full(String),
}

/// Whether there is room for another agent.
pub fn room(pressure: &Pressure, floors: &Floors) -> Room {
    let mb = |bytes: u64| bytes >> 20;
    if let Some(free) = pressure.disk_free.filter(|free| *free < floors.disk) {
        let floor = mb(floors.disk);
        return Room::Full(format!("{} MiB of disk are free, less than {floor} MiB ([limits] min_disk)", mb(free)));
    }
    if let Some(free) = pressure.memory_free.filter(|free| *free < floors.memory) {
        let floor = mb(floors.memory);
        return Room::Busy(format!("{} MiB of memory are free, less than {floor} MiB ([limits] min_memory)", mb(free)));
    }
    let above = |reading: Option<u32>, limit: u32| reading.filter(|reading| limit > 0 && *reading > limit);
    if let Some(stall) = above(pressure.memory_stall, floors.memory_stall) {
        return Room::Busy(format!("memory is short {stall} % of the time ([limits] max_memory_stall)"));
    }
    if let Some(load) = above(pressure.load, floors.load.saturating_mul(100)) {
        return Room::Busy(format!("the load is {} per core ([limits] max_load)", load / 100));
    }
    Room::Free
}

/// Slots where nobody said how many: one per core, at most 8, and no more than fit into three quarters of free memory.
pub fn auto_jobs(cores: usize, memory_free: Option<u64>, footprint_mb: u32) -> u32 {
    let cores = u32::try_from(cores).unwrap_or(8).clamp(1, 8);
    let fit = memory_free.map(|free| (free >> 20) * 3 / 4 / u64::from(footprint_mb.max(1)));
    fit.map_or(cores, |fit| cores.min(u32::try_from(fit).unwrap_or(8))).max(1)
}

/// Slots that shrink when attempts fail for lack of resources and come back one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slots {
    most: u32,
    now: u32,
    good: u32,
}

impl Slots {
    /// All of them.
    pub fn new(most: u32) -> Self {
        Self { most: most.max(1), now: most.max(1), good: 0 }
    }

    /// How many there are now, at least 1.
    pub fn now(&self) -> u32 {
        self.now
    }

    /// An attempt failed for lack of resources: half as many. Answers whether that changed anything.
    pub fn lacked(&mut self) -> bool {
        let before = self.now;
        self.now = (self.now / 2).max(1);
        self.good = 0;
        self.now < before
    }

    /// An attempt ended well: after as many as there are slots, one more. Answers whether all are back.
    pub fn went_well(&mut self) -> bool {
        if self.now == self.most {
            return false;
        }
        self.good += 1;
        if self.good >= self.now {
            self.now += 1;
            self.good = 0;
        }
        self.now == self.most
    }
}

/// What an error of the system says was lacking, where it says so.
pub fn lack(text: &str) -> Option<&'static str> {
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&["(os error 28)", "No space left on device", "(os error 122)", "Disk quota exceeded"]) {
        Some("the disk is full")
    } else if has(&["(os error 12)", "Cannot allocate memory"]) {
        Some("there is no memory left")
    } else {
        None
    }
}

/// As [`lack`], of a process that could not be started: there "again" means that there are too many.
pub fn lack_at_start(text: &str) -> Option<&'static str> {
    let again = || text.contains("(os error 11)") || text.contains("Resource temporarily unavailable");
    lack(text).or_else(|| again().then_some("there are too many processes"))
}

#[cfg(test)]
#[path = "pressure_tests.rs"]
mod tests;
