//! Times one decision, in doorward and beside it, and prints Markdown tables.
//!
//! Exits with a panic when any two engines disagree on any request: a fast wrong answer is not a
//! result.

use std::time::Duration;

use doorward::policy::CompiledPolicy;
use doorward_benches::cedar::Cedar;
use doorward_benches::door;
use doorward_benches::hand::{Because, Hand};
use doorward_benches::measure::{Timing, round};
use doorward_benches::rego::Rego;
use doorward_benches::workload::{Ask, CALLS, Call, Policy, Size};

/// How often each engine is timed; the engines take turns, so that a quiet moment serves all.
const ROUNDS: usize = 20;
/// How long an engine is timed in a round, or for one pass over the requests if that is longer.
const BUDGET: Duration = Duration::from_millis(150);

fn main() {
    let size = Size::STANDARD;
    let policy = Policy::new(size);
    let calls = policy.calls(size);
    let asks: Vec<Ask<'_>> = calls.iter().map(Call::ask).collect();
    decisions(&policy, &asks);
    flatness();
}

fn decisions(policy: &Policy, asks: &[Ask<'_>]) {
    let hand = Hand::<1>::new(policy).expect("the standard policy fits the table");
    let compiled = door::new(policy);
    let sliced = Cedar::sliced(policy);
    let whole = Cedar::whole(policy);
    let facts = whole.facts(policy);
    let mut indexed = Rego::indexed(policy);
    let mut linear = Rego::linear(policy);

    let mut allowed = 0;
    for ask in asks {
        let because = hand.decide(ask);
        let decision = door::decide(&compiled, ask);
        let rule = decision.rule.map(|r| r.name);
        let expected = match because {
            Because::Granted(at) => Some(format!("grant-{at:05}")),
            Because::DeniedBy(at) => Some(format!("deny-{at:05}")),
            _ => rule.map(str::to_owned),
        };
        assert_eq!((because.code(), expected.as_deref()), (decision.reason.code(), rule), "{ask:?}");
        let allow = because.is_allow();
        assert_eq!(sliced.prepare(ask, &facts).is_some_and(|p| sliced.decide(&p)), allow, "cedar, sliced: {ask:?}");
        assert_eq!(whole.prepare(ask, &facts).is_some_and(|p| whole.decide(&p)), allow, "cedar: {ask:?}");
        let input = indexed.input(ask);
        assert_eq!(indexed.decide(input), allow, "regorus, indexed: {ask:?}");
        let input = linear.input(ask);
        assert_eq!(linear.decide(input), allow, "regorus, linear: {ask:?}");
        allowed += usize::from(allow);
    }
    println!(
        "{} servers × 20 tools, {} grants, {} denies; {CALLS} requests, {allowed} allowed. All engines agree on every request.\n",
        policy.servers.len(),
        policy.grants.len(),
        policy.denies.len()
    );

    let mut rows: Vec<(&str, Option<Timing>)> = vec![
        ("hand-written table", None),
        ("**doorward** `pdp::decide`", None),
        ("regorus RVM, indexed data", None),
        ("Cedar, policies cut by tool beforehand", None),
        ("Cedar, the same, request built beforehand", None),
        ("regorus RVM, list of rules", None),
        ("Cedar, whole policy set", None),
    ];
    let prepared: Vec<_> = asks.iter().map(|ask| sliced.prepare(ask, &facts)).collect();
    for _ in 0..ROUNDS {
        let mut turn = 0;
        let timings = [
            round(asks, BUDGET, |ask| hand.decide(ask)),
            round(asks, BUDGET, |ask| door::decide(&compiled, ask)),
            round(asks, BUDGET, |ask| {
                let input = indexed.input(ask);
                indexed.decide(input)
            }),
            round(asks, BUDGET, |ask| sliced.prepare(ask, &facts).is_some_and(|p| sliced.decide(&p))),
            round(asks, BUDGET, |_| {
                turn = (turn + 1) % prepared.len();
                prepared[turn].as_ref().is_some_and(|p| sliced.decide(p))
            }),
            round(asks, BUDGET, |ask| {
                let input = linear.input(ask);
                linear.decide(input)
            }),
            round(asks, BUDGET, |ask| whole.prepare(ask, &facts).is_some_and(|p| whole.decide(&p))),
        ];
        for ((_, best), timing) in rows.iter_mut().zip(timings) {
            *best = Some(best.map_or(timing, |b| b.best(timing)));
        }
    }
    let base = rows[0].1.expect("timed");
    let ours = rows[1].1.expect("timed");
    println!("| one decision, request building included | p50 | p99 | p50 ÷ table | p99 ÷ table | p50 ÷ doorward |");
    println!("| --- | --: | --: | --: | --: | --: |");
    for (name, timing) in &rows {
        let timing = timing.expect("timed");
        println!(
            "| {name} | {} | {} | {:.2} | {:.2} | {:.1} |",
            time(timing.p50),
            time(timing.p99),
            timing.p50 / base.p50,
            timing.p99 / base.p99,
            timing.p50 / ours.p50
        );
    }
    println!();
}

fn flatness() {
    println!("| as the policy grows | p50 | p99 | table, p50 | table, p99 | p50 ÷ table |");
    println!("| --- | --: | --: | --: | --: | --: |");
    let large = Size { servers: 500, grants: 2_000, groups: 160, ..Size::STANDARD };
    let larger = Size { servers: 5_000, grants: 20_000, groups: 1_600, ..Size::STANDARD };
    let sizes = [
        ("200 grants, 50 servers, 16 groups", Size::STANDARD),
        ("2,000 grants, 50 servers, 160 groups", Size { servers: 50, ..large }),
        ("20,000 grants, 50 servers, 1,600 groups", Size { servers: 50, ..larger }),
        ("2,000 grants, 500 servers, 160 groups", large),
        ("20,000 grants, 5,000 servers, 1,600 groups", larger),
        (
            "2,000 grants, 50 servers, 16 groups: ten grants where there was one",
            Size { grants: 2_000, ..Size::STANDARD },
        ),
        ("20,000 grants, 50 servers, 16 groups: a hundred", Size { grants: 20_000, ..Size::STANDARD }),
    ];
    for (name, size) in sizes {
        let policy = Policy::new(size);
        let calls = policy.calls(size);
        let asks: Vec<Ask<'_>> = calls.iter().map(Call::ask).collect();
        let compiled = door::new(&policy);
        // With bits for the groups of the largest it would be another table for the smallest.
        match size.groups {
            ..=64 => growth(name, &compiled, &Hand::<1>::new(&policy).expect("at most 64 groups"), &asks),
            ..=192 => growth(name, &compiled, &Hand::<3>::new(&policy).expect("at most 192 groups"), &asks),
            _ => growth(name, &compiled, &Hand::<25>::new(&policy).expect("at most 1,600 groups"), &asks),
        }
    }
    println!();
}

fn growth<const WORDS: usize>(name: &str, compiled: &CompiledPolicy, hand: &Hand<WORDS>, asks: &[Ask<'_>]) {
    for ask in asks {
        assert_eq!(hand.decide(ask).code(), door::decide(compiled, ask).reason.code(), "{ask:?}");
    }
    let best = (0..ROUNDS)
        .map(|_| {
            let ours = round(asks, BUDGET, |ask| door::decide(compiled, ask));
            (ours, round(asks, BUDGET, |ask| hand.decide(ask)))
        })
        .reduce(|(ours, table), (again, other)| (ours.best(again), table.best(other)));
    let (ours, table) = best.expect("at least one round");
    println!(
        "| {name} | {} | {} | {} | {} | {:.2} |",
        time(ours.p50),
        time(ours.p99),
        time(table.p50),
        time(table.p99),
        ours.p50 / table.p50
    );
}

fn time(nanoseconds: f64) -> String {
    if nanoseconds < 1_000.0 { format!("{nanoseconds:.0} ns") } else { format!("{:.2} µs", nanoseconds / 1_000.0) }
}
