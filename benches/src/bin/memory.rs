//! Counts what doorward takes from the allocator: for a decision, and for a large policy.
//!
//! Apart from `decide`, because counting slows the engines that allocate.

use allocation_counter::measure;
use doorward_benches::door;
use doorward_benches::workload::{Ask, Call, Policy, Size};

/// What 1,000 servers, 50,000 tools and 5,000 grants may take.
const LIMIT: i64 = 200 * 1_000 * 1_000;

fn main() {
    decisions();
    large();
}

fn decisions() {
    let size = Size::STANDARD;
    let policy = Policy::new(size);
    let calls = policy.calls(size);
    let asks: Vec<Ask<'_>> = calls.iter().map(Call::ask).collect();
    let compiled = door::new(&policy);
    let (mut allowed, mut denied) = (0_u32, 0_u32);
    for ask in &asks {
        let mut allow = false;
        let taken = measure(|| allow = door::decide(&compiled, ask).is_allow());
        assert_eq!(taken.count_total, 0, "a decision took {} bytes from the heap: {ask:?}", taken.bytes_total);
        *if allow { &mut allowed } else { &mut denied } += 1;
    }
    println!("| decisions | heap allocations |\n| --- | --: |");
    println!("| {allowed} allowed | 0 |\n| {denied} denied | 0 |\n");
}

fn large() {
    let text = Policy::new(Size { servers: 1_000, tools: 50, grants: 5_000, groups: 64 }).to_toml();
    let layers = door::layers(&text);
    let before = peak_rss();
    let mut kept = None;
    let all = measure(|| kept = doorward::policy::load(&layers).policy);
    let mut compiled = None;
    // What stays when only the compiled policy is kept: the texts, spans and checks are let go.
    let dropped = measure(|| compiled = kept.take().map(|policy| policy.compiled));
    let after = peak_rss();
    assert!(compiled.is_some(), "the large policy has problems");
    let stays = all.bytes_current + dropped.bytes_current;
    let mb = |bytes: i64| format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10);
    let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    println!("| 1,000 servers × 50 tools, 5,000 grants, {} of text | |\n| --- | --: |", mb(signed(text.len() as u64)));
    println!("| compiled policy, counted | {} |", mb(stays));
    println!("| highest while loading, counted | {} |", mb(signed(all.bytes_max)));
    println!("| highest resident set of the process | {} |", after.map_or("unknown".to_owned(), mb));
    println!("| the same before loading | {} |", before.map_or("unknown".to_owned(), mb));
    assert!(stays < LIMIT && after.is_none_or(|bytes| bytes < LIMIT), "more than {}", mb(LIMIT));
}

/// The highest resident set so far; `None` where the kernel does not say.
fn peak_rss() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<i64>().ok().map(|kib| kib * 1_024)
}
