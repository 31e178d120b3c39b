//! [`SwarmRules`]: from where on a target is slow or broken, and how long a result counts.

use std::collections::BTreeMap;
use std::time::Duration;

use lastbeat_wire::Target;

/// Of one target, or of all that have none of their own. Each limit is reached at exactly its value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// A mean round trip that is a warning, and one that is critical.
    pub slow: (Duration, Duration),
    /// Loss in percent that is a warning, and one from which on the target counts as not reached.
    pub loss: (f64, f64),
}

/// How results are judged.
#[derive(Debug, Clone, PartialEq)]
pub struct SwarmRules {
    /// Of all targets.
    pub limits: Limits,
    /// Of some.
    pub targets: BTreeMap<Target, Limits>,
    /// How long a result counts that does not say when the next one is due.
    pub fresh_for: Duration,
    /// Most pairs of agent and target that are held; of others nothing is judged.
    pub max_pairs: usize,
}

impl Default for Limits {
    /// 200 ms and 1 s; 10 % and 50 %.
    fn default() -> Self {
        Self { slow: (Duration::from_millis(200), Duration::from_secs(1)), loss: (10.0, 50.0) }
    }
}

impl Default for SwarmRules {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            targets: BTreeMap::new(),
            fresh_for: Duration::from_mins(5),
            max_pairs: 100_000,
        }
    }
}

impl SwarmRules {
    /// The limits of a target.
    pub fn limits_of(&self, target: &str) -> Limits {
        self.targets.get(target).copied().unwrap_or(self.limits)
    }
}
