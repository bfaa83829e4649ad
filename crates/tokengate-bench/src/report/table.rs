//! The report as text tables for a terminal.
//!
//! The bench prints it at the end of each scenario. It lays out what the report holds and decides
//! nothing.

use std::fmt::Write;

use comfy_table::{Cell, CellAlignment, Table, presets};

use crate::report::{Grid, Limit, Ratio, ScenarioReport, Verdict};

/// All tables of one scenario.
pub(crate) fn render(report: &ScenarioReport) -> String {
    let mut text = format!("\n# {}\n", report.name);
    for grid in &report.grids {
        push(&mut text, grid);
    }
    if !report.ratios.is_empty() {
        push(&mut text, &ratios(&report.ratios));
    }
    if !report.limits.is_empty() {
        push(&mut text, &limits(&report.limits));
    }
    if let Some(warning) = report.warning() {
        writeln!(text, "\n{warning}").expect("a string takes all text");
    }
    for contender in &report.contenders {
        if matches!(contender.verdict, Verdict::Skipped(_) | Verdict::Failed(_)) {
            writeln!(text, "{}: {}", contender.name, contender.verdict.text())
                .expect("a string takes all text");
        }
    }
    text
}

/// The ratios as a table, for this form and the page.
pub(crate) fn ratios(ratios: &[Ratio]) -> Grid {
    let mut grid = Grid::new(
        "Ratios: how many times better than the peer, from the medians of this run",
        &["ratio", "value", "bar"],
    );
    grid.rows = ratios
        .iter()
        .map(|ratio| {
            vec![
                ratio.name.clone(),
                format!("{:.3}", ratio.value),
                ratio.judgement(),
            ]
        })
        .collect();
    grid
}

/// The limits as a table, for this form and the page.
pub(crate) fn limits(limits: &[Limit]) -> Grid {
    let mut grid = Grid::new(
        "Limits: what tokengate takes, and the most that it may take",
        &["figure", "value", "limit"],
    );
    grid.rows = limits
        .iter()
        .map(|limit| {
            let value = format!("{:.2} {}", limit.value, limit.unit);
            vec![limit.name.clone(), value, limit.judgement()]
        })
        .collect();
    grid
}

fn push(text: &mut String, grid: &Grid) {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(&grid.header);
    for row in &grid.rows {
        table.add_row(row.iter().enumerate().map(|(column, text)| {
            let number = column > 0 && text.starts_with(|c: char| c.is_ascii_digit());
            let side = if number {
                CellAlignment::Right
            } else {
                CellAlignment::Left
            };
            Cell::new(text).set_alignment(side)
        }));
    }
    writeln!(text, "\n{}\n{table}", grid.title).expect("a string takes all text");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::example;

    #[test]
    fn shows_grids_ratios_and_who_was_skipped() {
        let text = render(&example());
        assert!(text.contains("# waves"));
        assert!(text.contains("good") && text.contains("<0.5>"));
        assert!(text.contains("vs_serial") && text.contains(">= 1.50, met"));
        assert!(text.contains("81.00 bytes") && text.contains("<= 176.00 bytes, met"));
        assert!(text.contains("gone: skipped: no io_uring"));
        assert!(text.contains("kept 0.5 CPUs busy"));
    }
}
