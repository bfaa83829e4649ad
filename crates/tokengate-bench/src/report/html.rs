//! The report as one self-contained page: tables, SVG plots and the JSON itself.
//!
//! The bench writes it for `--report`. The page loads nothing: styles and plots are inside, and the JSON
//! is embedded for tools.

use std::fmt::Write;

use serde_json::{Map, Value};

use crate::report::{Grid, ScenarioReport, chart, table};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;\
padding:0 1rem;color:#222}table{border-collapse:collapse;margin:.5rem 0 1.5rem;font-size:.85rem}\
th,td{padding:.2rem .7rem;border-bottom:1px solid #ddd;text-align:left;\
font-variant-numeric:tabular-nums}th{border-bottom:2px solid #888}svg{max-width:100%;height:auto}";

/// The whole page.
///
/// # Errors
///
/// If a plot cannot be drawn; the message names it.
pub(crate) fn render(
    machine: &Map<String, Value>,
    scenarios: &[ScenarioReport],
    json: &Value,
) -> Result<String, String> {
    let mut body = String::from("<h1>tokengate: benchmark report</h1>\n");
    push_grid(&mut body, &facts(machine));
    for report in scenarios {
        push(
            &mut body,
            format_args!("<h2>{}</h2>\n", escape(report.name)),
        );
        if let Some(warning) = report.warning() {
            push(
                &mut body,
                format_args!("<p><b>{}</b></p>\n", escape(&warning)),
            );
        }
        for plot in &report.charts {
            push(&mut body, format_args!("{}\n", chart::svg(plot)?));
        }
        for grid in &report.grids {
            push_grid(&mut body, grid);
        }
        if !report.ratios.is_empty() {
            push_grid(&mut body, &table::ratios(&report.ratios));
        }
        if !report.limits.is_empty() {
            push_grid(&mut body, &table::limits(&report.limits));
        }
        push_grid(&mut body, &remarks(report));
    }
    // A closing tag inside a string of the JSON would end the script element.
    let embedded = json.to_string().replace("</", "<\\/");
    Ok(format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>tokengate: benchmark report</title>\n<style>{STYLE}</style>\n{body}\
         <script type=\"application/json\" id=\"results\">{embedded}</script>\n</html>\n"
    ))
}

fn facts(machine: &Map<String, Value>) -> Grid {
    let mut grid = Grid::new("Machine", &["fact", "value"]);
    grid.rows = machine
        .iter()
        .map(|(name, value)| {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            vec![name.clone(), text]
        })
        .collect();
    grid
}

fn remarks(report: &ScenarioReport) -> Grid {
    let mut grid = Grid::new("Remarks", &["contender", "remark"]);
    grid.rows = report
        .contenders
        .iter()
        .map(|contender| vec![contender.name.clone(), contender.verdict.text()])
        .collect();
    grid
}

fn push_grid(body: &mut String, grid: &Grid) {
    let row = |cells: &[String], tag: &str| {
        let cells: String = cells
            .iter()
            .map(|cell| format!("<{tag}>{}</{tag}>", escape(cell)))
            .collect();
        format!("<tr>{cells}</tr>\n")
    };
    let rows: String = grid.rows.iter().map(|cells| row(cells, "td")).collect();
    push(
        body,
        format_args!(
            "<h3>{}</h3>\n<table>\n{}{rows}</table>\n",
            escape(&grid.title),
            row(&grid.header, "th")
        ),
    );
}

fn push(body: &mut String, text: std::fmt::Arguments<'_>) {
    body.write_fmt(text).expect("a string takes all text");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::report::tests::example;

    #[test]
    fn the_page_holds_plots_tables_and_json_and_loads_nothing() {
        let machine = Map::from_iter([("cpu_model".to_owned(), json!("A & B"))]);
        let json = json!({ "text": "</script>" });
        let page = render(&machine, &[example()], &json).unwrap();
        assert_eq!(page.matches("<svg").count(), 2);
        assert!(page.contains("A &amp; B") && page.contains("&lt;0.5&gt;"));
        assert!(page.contains("skipped: no io_uring"));
        assert_eq!(page.matches("</script>").count(), 1);
        let plain = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!plain.contains("http") && !plain.contains("src="));
    }
}
