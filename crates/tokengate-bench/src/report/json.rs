//! The report as JSON, for tools: machine, then scenarios with contenders and ratios.
//!
//! The shape is `{"machine": {...}, "scenarios": {NAME: {"contenders": {NAME: {figures}}, "ratios":
//! {NAME: number}}}}`. A contender that was skipped or failed has the reason as its figure `skipped` or
//! `failed`.

use serde_json::{Map, Value, json};

use crate::report::{ContenderReport, ScenarioReport, Verdict};

/// The whole run.
pub(crate) fn render(machine: &Map<String, Value>, scenarios: &[ScenarioReport]) -> Value {
    let scenarios: Map<String, Value> = scenarios
        .iter()
        .map(|report| (report.name.to_owned(), scenario(report)))
        .collect();
    json!({ "machine": machine, "scenarios": scenarios })
}

fn scenario(report: &ScenarioReport) -> Value {
    let contenders: Map<String, Value> = report
        .contenders
        .iter()
        .map(|contender| (contender.name.clone(), figures(contender)))
        .collect();
    let ratios: Map<String, Value> = report
        .ratios
        .iter()
        .map(|ratio| (ratio.name.clone(), json!(ratio.value)))
        .collect();
    json!({ "contenders": contenders, "ratios": ratios })
}

fn figures(contender: &ContenderReport) -> Value {
    let mut figures = contender.figures.clone();
    match &contender.verdict {
        Verdict::Flawless(_) => None,
        Verdict::Failed(reason) => figures.insert("failed".into(), json!(reason)),
        Verdict::Skipped(reason) => figures.insert("skipped".into(), json!(reason)),
        Verdict::Published(source) => figures.insert("source".into(), json!(source)),
    };
    Value::Object(figures)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::example;

    #[test]
    fn has_the_stated_shape_when_parsed_back() {
        let machine = Map::from_iter([("workers".to_owned(), json!(2))]);
        let text = render(&machine, &[example()]).to_string();
        let parsed: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(parsed["machine"]["workers"], 2);
        let waves = parsed["scenarios"]["waves"].as_object().unwrap();
        assert_eq!(waves.keys().collect::<Vec<_>>(), ["contenders", "ratios"]);
        assert_eq!(waves["contenders"]["good"]["elapsed_s"], 0.5);
        assert_eq!(waves["contenders"]["gone"]["skipped"], "no io_uring");
        assert_eq!(waves["ratios"]["vs_serial"], 1.9);
    }
}
