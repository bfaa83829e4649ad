//! Draws a chart as an SVG element.
//!
//! The page calls it. It draws what the chart holds, with no scale that starts elsewhere than at zero for
//! bars, and both axes logarithmic for lines.

use plotters::prelude::*;

use crate::report::Chart;
use crate::spread::Spread;

/// Width of every plot in pixels.
const WIDTH: u32 = 960;
/// Height of one bar with its gap in pixels.
const BAR: u32 = 28;
/// Height of a line plot in pixels.
const LINES: u32 = 560;
/// Size of all text but the title in pixels.
const TEXT: (&str, u32) = ("sans-serif", 16);
/// The bars of our contenders.
const OURS: RGBColor = RGBColor(205, 95, 75);
/// The bars of the others.
const PEER: RGBColor = RGBColor(125, 150, 190);
/// The title of a plot.
const TITLE: (&str, u32) = ("sans-serif", 22);

/// The chart as an SVG element.
///
/// # Errors
///
/// If the drawing library refuses; the message says why.
pub(crate) fn svg(chart: &Chart) -> Result<String, String> {
    let mut text = String::new();
    match chart {
        Chart::Bars { title, unit, bars } => draw_bars(&mut text, title, unit, bars),
        Chart::Lines { title, x, y, lines } => draw_lines(&mut text, title, (x, y), lines),
    }
    .map_err(|error| format!("a plot cannot be drawn: {error}"))?;
    Ok(text)
}

type Drawn = Result<(), Box<dyn std::error::Error>>;

fn draw_bars(text: &mut String, title: &str, unit: &str, bars: &[(String, Spread)]) -> Drawn {
    let height = 110 + BAR * bars.len() as u32;
    let root = SVGBackend::with_string(text, (WIDTH, height)).into_drawing_area();
    let longest = bars.iter().map(|(_, bar)| bar.max).fold(0.0, f64::max);
    let mut plot = ChartBuilder::on(&root)
        .caption(title, TITLE)
        .margin(10)
        .x_label_area_size(45)
        .y_label_area_size(190)
        .build_cartesian_2d(0.0..longest * 1.1, (0..bars.len()).into_segmented())?;
    plot.configure_mesh()
        .disable_y_mesh()
        .light_line_style(TRANSPARENT)
        .label_style(TEXT)
        .x_desc(unit)
        .y_labels(bars.len())
        .y_label_formatter(&|place| match place {
            SegmentValue::CenterOf(index) => bars
                .iter()
                .nth_back(*index)
                .map_or_else(String::new, |(name, _)| name.clone()),
            _ => String::new(),
        })
        .draw()?;
    // The axis counts from below, readers from above.
    for (index, (name, bar)) in bars.iter().rev().enumerate() {
        let ours = name.starts_with("tokengate");
        let style = if ours { OURS } else { PEER }.filled();
        let (low, high) = (SegmentValue::Exact(index), SegmentValue::Exact(index + 1));
        let mut shape = Rectangle::new([(0.0, low), (bar.median, high)], style);
        shape.set_margin(4, 4, 0, 0);
        plot.draw_series([shape])?;
        let middle = SegmentValue::CenterOf(index);
        let whisker = [(bar.min, middle.clone()), (bar.max, middle)];
        plot.draw_series([PathElement::new(whisker, BLACK.stroke_width(2))])?;
    }
    root.present()?;
    Ok(())
}

fn draw_lines(
    text: &mut String,
    title: &str,
    (x, y): (&str, &str),
    lines: &[(String, Vec<(f64, f64)>)],
) -> Drawn {
    let root = SVGBackend::with_string(text, (WIDTH, LINES)).into_drawing_area();
    let points = || lines.iter().flat_map(|(_, points)| points);
    let range = |of: fn(&(f64, f64)) -> f64| {
        let low = points().map(of).fold(f64::MAX, f64::min);
        let high = points().map(of).fold(f64::MIN_POSITIVE, f64::max);
        (low.min(high) * 0.8..high * 1.25).log_scale()
    };
    let mut plot = ChartBuilder::on(&root)
        .caption(title, TITLE)
        .margin(10)
        .x_label_area_size(45)
        .y_label_area_size(100)
        .build_cartesian_2d(range(|point| point.0), range(|point| point.1))?;
    plot.configure_mesh()
        .light_line_style(TRANSPARENT)
        .label_style(TEXT)
        .x_desc(x)
        .y_desc(y)
        .draw()?;
    for (index, (name, points)) in lines.iter().enumerate() {
        let style = Palette99::pick(index).stroke_width(2);
        plot.draw_series(LineSeries::new(points.iter().copied(), style))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    plot.configure_series_labels()
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .label_font(TEXT)
        .position(SeriesLabelPosition::MiddleRight)
        .draw()?;
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_chart_is_drawn_too() {
        let lines = Chart::Lines {
            title: "none".into(),
            x: "x",
            y: "y",
            lines: vec![],
        };
        let bars = Chart::Bars {
            title: "none".into(),
            unit: "ns",
            bars: vec![],
        };
        assert!(svg(&lines).unwrap().contains("<svg"));
        assert!(svg(&bars).unwrap().contains("<svg"));
    }
}
