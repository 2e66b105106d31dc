//! Times the way from the text of a policy to its compiled form, and prints a Markdown table.
//!
//! With the allocator that the program ships, for doorward and for what stands beside it: a good part
//! of the work is taking and giving back memory.

use doorward_benches::cedar::Cedar;
use doorward_benches::door;
use doorward_benches::measure::{fastest, median};
use doorward_benches::workload::{Policy, Size};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    println!("| text to compiled policy | fastest | median |");
    println!("| --- | --: | --: |");
    for (grants, servers, runs) in [(200, 50, 501), (10_000, 50, 31), (10_000, 1_000, 31)] {
        let text = Policy::new(Size { servers, grants, ..Size::STANDARD }).to_toml();
        let layers = door::layers(&text);
        let run = || {
            let loaded = doorward::policy::load(&layers);
            assert!(loaded.policy.is_some(), "the generated policy has problems: {:#?}", loaded.problems.first());
            loaded
        };
        row(&format!("{grants} grants, {} tools, {} KiB", servers * 20, text.len() / 1_024), runs, run);
    }
    let cedar = Cedar::text(&Policy::new(Size::STANDARD));
    let parse = || cedar.parse::<cedar_policy::PolicySet>().expect("the generated policies are Cedar");
    row(&format!("Cedar, 200 grants, {} KiB (parse only)", cedar.len() / 1_024), 501, parse);
}

fn row<R>(name: &str, runs: usize, mut run: impl FnMut() -> R) {
    println!("| {name} | {:.2} ms | {:.2} ms |", fastest(runs, &mut run), median(runs, &mut run));
}
