//! Writes a recording to stdout, for as long as asked: `events COUNT [distinct]`.
//!
//! Made for a pipe: `events 18000000 | doorward simulate - …` needs no disk.

use std::io::{BufWriter, Write};

use doorward_benches::door;
use doorward_benches::recorded::{Shape, Traffic};
use doorward_benches::workload::{Policy, Size};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let count: u64 = arguments.next().and_then(|n| n.parse().ok()).expect("how many events");
    let shape = if arguments.next().as_deref() == Some("distinct") { Shape::AllDistinct } else { Shape::Real };
    let policy = Policy::new(Size::STANDARD);
    let compiled = door::new(&policy);
    let mut traffic = Traffic::new(&policy, &compiled, shape);
    let mut out = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    let mut written = out.write_all(Traffic::header().as_bytes());
    for _ in 0..count {
        if written.is_err() {
            break;
        }
        written = out.write_all(traffic.line().as_bytes());
    }
    // A reader that has seen enough closes the pipe.
    let _ = written.and_then(|()| out.flush());
}
