//! How many events took which way through the columns: recorded, baseline, candidate.
//!
//! A drawing, and the same as a table: whoever cannot see the one reads the other.

use std::collections::BTreeMap;
use std::fmt::Write;

use maud::{Markup, PreEscaped, html};

use super::text::number;
use crate::report::simulate::words::Rehearsed;
use crate::simulate::{Column, Flow};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 170.0;
/// Above the columns, for their names.
const TOP: f64 = 26.0;
const NODE: f64 = 10.0;
const GAP: f64 = 26.0;
/// What is kept free at the sides, for labels.
const SIDE: f64 = 128.0;
/// The thinnest band, so that one event of a million is seen.
const THINNEST: f64 = 3.0;

const ORDER: [Column; 4] = [Column::Allow, Column::Deny, Column::Undecidable, Column::None];

/// The section.
pub(super) fn flow(rehearsed: &Rehearsed<'_>) -> Markup {
    let report = rehearsed.report;
    if report.flow.is_empty() {
        return html! {};
    }
    let with_baseline = report.flow.iter().any(|f| f.columns.baseline.is_some());
    let titles: &[&str] =
        if with_baseline { &["recorded", "baseline now", "candidate now"] } else { &["recorded", "candidate now"] };
    let ways: Vec<(Vec<Column>, u64)> = report.flow.iter().map(way).collect();
    html! {
        section aria-labelledby="flow" {
            h2 #flow { "How the answers move" }
            figure {
                div.scroll.drawing tabindex="0" role="region" aria-label="Drawing of the flow, described by the table below" {
                    (drawing(titles, &ways))
                }
                figcaption {
                    details {
                        summary { "The same as a table" }
                        table {
                            caption.hidden { "Events by their way through the columns" }
                            thead { tr {
                                @for title in titles { th scope="col" { (title) } }
                                th.n scope="col" { "events" }
                            } }
                            tbody {
                                @for (columns, count) in &ways {
                                    tr {
                                        @for column in columns { td { (word(*column)) } }
                                        td.n { (number(*count)) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn way(flow: &Flow) -> (Vec<Column>, u64) {
    let columns = flow.columns;
    ([Some(columns.recorded), columns.baseline, Some(columns.candidate)].into_iter().flatten().collect(), flow.count)
}

const fn word(column: Column) -> &'static str {
    match column {
        Column::Allow => "allowed",
        Column::Deny => "denied",
        Column::Undecidable => "undecidable",
        Column::None => "no decision",
    }
}

const fn class(column: Column) -> &'static str {
    match column {
        Column::Allow => "allow",
        Column::Deny => "deny",
        Column::Undecidable => "open",
        Column::None => "none",
    }
}

/// What a band says: whether access is lost, gained or neither.
fn band_class(from: Column, to: Column) -> &'static str {
    match (from, to) {
        (Column::Allow, Column::Deny) => "lost",
        (Column::Deny, Column::Allow) => "gained",
        // Where nothing was recorded nothing moves.
        (Column::None, _) => "same",
        (a, b) if a == b => "same",
        _ => "unclear",
    }
}

/// Where a node stands and how much of each of its sides is taken.
#[derive(Clone, Copy, Debug, Default)]
struct Node {
    count: u64,
    top: f64,
    height: f64,
    left: f64,
    right: f64,
}

fn drawing(titles: &[&str], ways: &[(Vec<Column>, u64)]) -> Markup {
    let columns = titles.len();
    let total = ways.iter().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
    // Between each two columns: how many go from where to where.
    let mut bands: Vec<BTreeMap<(Column, Column), u64>> = vec![BTreeMap::new(); columns.saturating_sub(1)];
    let mut nodes: Vec<BTreeMap<Column, Node>> = vec![BTreeMap::new(); columns];
    for (way, count) in ways {
        for (column, node) in way.iter().zip(&mut nodes) {
            let node = node.entry(*column).or_default();
            node.count = node.count.saturating_add(*count);
        }
        for (pair, band) in way.windows(2).zip(&mut bands) {
            if let [from, to] = pair {
                let sum = band.entry((*from, *to)).or_default();
                *sum = sum.saturating_add(*count);
            }
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a drawing shows no more than a few digits")]
    let thick = |count: u64| (count as f64 / total.max(1) as f64 * HEIGHT).max(THINNEST);
    place(&mut nodes, &bands, thick);
    let bottom = nodes.iter().flat_map(BTreeMap::values).map(|n| n.top + n.height).fold(0.0, f64::max);
    #[expect(clippy::cast_precision_loss, reason = "two or three columns")]
    let x = |column: usize| SIDE + (WIDTH - 2.0 * SIDE - NODE) * column as f64 / (columns.max(2) - 1) as f64;
    let mut svg = String::new();
    for (at, band) in bands.iter().enumerate() {
        draw_bands(&mut svg, band, at, &mut nodes, (x(at) + NODE, x(at + 1)), thick);
    }
    for (at, (title, column)) in titles.iter().zip(&nodes).enumerate() {
        let middle = x(at) + NODE / 2.0;
        // Writing to a string cannot fail.
        let _ = write!(svg, r#"<text class="head" x="{middle:.1}" y="12" text-anchor="middle">{title}</text>"#);
        for (kind, node) in column {
            let (left, top, height) = (x(at), node.top, node.height);
            let class = class(*kind);
            let _ = write!(
                svg,
                r#"<rect class="node {class}" x="{left:.1}" y="{top:.1}" width="{NODE}" height="{height:.1}" rx="2"/>"#
            );
            let (anchor, text_x) = if at == 0 { ("end", left - 8.0) } else { ("start", left + NODE + 8.0) };
            let y = top + height / 2.0;
            let _ = write!(
                svg,
                r#"<text x="{text_x:.1}" y="{y:.1}" dy="0.35em" text-anchor="{anchor}"><tspan class="v">{}</tspan> {}</text>"#,
                number(node.count),
                word(*kind)
            );
        }
    }
    html! {
        svg.flow viewBox={ "0 0 " (WIDTH) " " (format!("{:.0}", bottom + 8.0)) } aria-hidden="true" focusable="false" {
            (PreEscaped(svg))
        }
    }
}

/// Gives every node its height, which is that of its bands, and its place below the one before.
fn place(nodes: &mut [BTreeMap<Column, Node>], bands: &[BTreeMap<(Column, Column), u64>], thick: impl Fn(u64) -> f64) {
    for (at, column) in nodes.iter_mut().enumerate() {
        let mut top = TOP;
        for kind in ORDER {
            let Some(node) = column.get_mut(&kind) else { continue };
            let side = |band: Option<&BTreeMap<(Column, Column), u64>>, from: bool| -> f64 {
                let here = |(a, b): &(Column, Column)| if from { *a == kind } else { *b == kind };
                band.into_iter().flatten().filter(|(pair, _)| here(pair)).map(|(_, count)| thick(*count)).sum()
            };
            let out = side(bands.get(at), true);
            let into = side(at.checked_sub(1).and_then(|before| bands.get(before)), false);
            node.height = out.max(into).max(THINNEST);
            (node.top, node.left, node.right) = (top, top, top);
            top += node.height + GAP;
        }
    }
}

/// What stays the same first, so that what changes lies above it.
fn draw_bands(
    svg: &mut String,
    band: &BTreeMap<(Column, Column), u64>,
    at: usize,
    nodes: &mut [BTreeMap<Column, Node>],
    (left, right): (f64, f64),
    thick: impl Fn(u64) -> f64,
) {
    let mut drawn: Vec<(bool, String)> = Vec::new();
    for from in ORDER {
        for to in ORDER {
            let Some(count) = band.get(&(from, to)) else { continue };
            let height = thick(*count);
            let Some(start) = nodes.get_mut(at).and_then(|c| c.get_mut(&from)) else { continue };
            let y0 = start.right;
            start.right += height;
            let Some(end) = nodes.get_mut(at + 1).and_then(|c| c.get_mut(&to)) else { continue };
            let y1 = end.left;
            end.left += height;
            let middle = f64::midpoint(left, right);
            let (y0b, y1b) = (y0 + height, y1 + height);
            let class = band_class(from, to);
            let path = format!(
                r#"<path class="band {class}" d="M{left:.1} {y0:.1}C{middle:.1} {y0:.1} {middle:.1} {y1:.1} {right:.1} {y1:.1}L{right:.1} {y1b:.1}C{middle:.1} {y1b:.1} {middle:.1} {y0b:.1} {left:.1} {y0b:.1}Z"><title>{} to {}: {}</title></path>"#,
                word(from),
                word(to),
                number(*count)
            );
            drawn.push((class != "same", path));
        }
    }
    drawn.sort_by_key(|(changes, _)| *changes);
    for (_, path) in &drawn {
        svg.push_str(path);
    }
}
