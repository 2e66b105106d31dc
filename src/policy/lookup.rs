//! Tables by name, for what is looked up once for each statement or item while a policy is read.
//!
//! Never gone through from end to end: their order means nothing, and no diagnostic may depend on it.

use std::collections::HashMap;

use foldhash::fast::FixedState;

/// Values by name. The seed is fixed: a policy is its operator's own, and reads the same every time.
pub(super) type Lookup<K, V> = HashMap<K, V, FixedState>;
