//! Figures as text, for `--once`: whole names, columns as wide as they must be, two blanks or more between them.

use std::fmt::Write as _;

use super::address::Address;
use super::rates::{Figures, Flow};
use super::table::{self, Column, ROUTES, Row, SERVICES};
use super::text;

/// All of it.
pub(super) fn text(figures: &Figures, address: &Address) -> String {
    let mut out = String::new();
    let Figures { version, uptime, generation, workers, open, .. } = figures;
    let workers = text::count(*workers as u64, "worker");
    let draining = if figures.is_draining { ", draining" } else { "" };
    let age = text::age(*uptime);
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "tollgate {version} at {address}, up {age}, generation {generation}, {workers}{draining}"
    );
    let (flow, errors) = summary(figures.all);
    let _ = writeln!(out, "{flow}, {errors}, {}", text::count(*open, "open connection"));
    let services = figures.services.iter().flat_map(|service| {
        let endpoints: Vec<_> = service.endpoints.iter().collect();
        table::service(service, &endpoints)
    });
    write(&mut out, &SERVICES, services.collect(), figures.services_left_out);
    write(&mut out, &ROUTES, figures.routes.iter().map(table::route).collect(), figures.routes_left_out);
    out
}

/// What comes through in all, and which share of it fails.
pub(super) fn summary(all: Option<Flow>) -> (String, String) {
    let Some(flow) = all else { return ("- req/s".to_owned(), "- errors".to_owned()) };
    let classes = (1..).zip(flow.classes).skip(1);
    let classes: Vec<_> = classes.map(|(class, rate)| format!("{class}xx {}", text::rate(rate))).collect();
    let rates = format!("{} req/s ({})", text::rate(flow.rate), classes.join(", "));
    (rates, format!("{}% errors", text::percent(flow.errors)))
}

fn write(out: &mut String, columns: &[Column], rows: Vec<Row>, left_out: usize) {
    let titles = columns.iter().map(|column| column.title.to_owned()).collect::<Vec<_>>();
    let rows = rows.into_iter().map(|row| row.into_iter().map(|cell| cell.text).collect::<Vec<_>>());
    let lines: Vec<Vec<String>> = std::iter::once(titles).chain(rows).collect();
    let width = |place: usize| lines.iter().map(|line| line[place].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    out.push('\n');
    for line in &lines {
        let mut text = String::new();
        for ((cell, column), width) in line.iter().zip(columns).zip(&widths) {
            let gap = if text.is_empty() { "" } else { "  " };
            let _ = if column.is_text {
                write!(text, "{gap}{cell:<width$}")
            } else {
                write!(text, "{gap}{cell:>width$}")
            };
        }
        let _ = writeln!(out, "{}", text.trim_end());
    }
    if left_out > 0 {
        let _ = writeln!(out, "and {left_out} more");
    }
}
