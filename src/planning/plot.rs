//! A curve as a picture (SVG): the shares of connections whole and of bytes kept, by cutoff. Called by `plan --svg`.

use super::Curve;
use crate::units;
use plotters::prelude::*;

const SIZE: (u32, u32) = (900, 520);
const LINES: [(RGBColor, &str); 3] = [
    (RGBColor(0, 90, 160), "connections whole"),
    (RGBColor(0, 140, 70), "packets kept"),
    (RGBColor(200, 80, 0), "bytes kept"),
];

/// Draws it. The error is the drawing library's; an SVG in memory meets none in practice.
pub fn svg(curve: &Curve) -> Result<String, String> {
    let mut text = String::new();
    draw(curve, &mut text).map_err(|e| e.to_string())?;
    Ok(text)
}

fn draw(curve: &Curve, text: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let cutoffs = || curve.points.iter().map(|p| (p.cutoff.max(1)) as f64);
    let (low, high) = (cutoffs().fold(f64::MAX, f64::min), cutoffs().fold(1.0, f64::max));
    let root = SVGBackend::with_string(text, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let seen = format!(
        "{} connections, {} packets, {} in {}{}",
        units::count(curve.connections),
        units::count(curve.packets),
        units::size(curve.bytes),
        units::duration(curve.span_ns),
        if curve.exact { "" } else { " (estimate from sizes)" }
    );
    let mut chart = ChartBuilder::on(&root)
        .caption(seen, ("sans-serif", 18))
        .margin(16)
        .margin_right(40)
        .x_label_area_size(44)
        .y_label_area_size(56)
        .build_cartesian_2d((low..high.max(low * 2.0)).log_scale().base(2.0), 0.0..100.0f64)?;
    chart
        .configure_mesh()
        .x_desc("cutoff")
        .y_desc("share, %")
        .x_label_formatter(&|x| units::size(*x as u64))
        .y_label_formatter(&|y| format!("{y:.0}"))
        .light_line_style(WHITE)
        .draw()?;
    let share = |part: u64, of: u64| if of == 0 { 0.0 } else { part as f64 * 100.0 / of as f64 };
    for (n, (colour, name)) in LINES.into_iter().enumerate() {
        let points = curve.points.iter().map(|p| {
            let y = match n {
                0 => share(p.whole, curve.connections),
                1 => share(p.packets, curve.packets),
                _ => share(p.bytes, curve.bytes),
            };
            ((p.cutoff.max(1)) as f64, y)
        });
        let series = LineSeries::new(points, colour.stroke_width(2)).point_size(3);
        let drawn = chart.draw_series(series)?;
        drawn.label(name).legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2)));
    }
    chart.configure_series_labels().background_style(WHITE).border_style(BLACK).draw()?;
    root.present()?;
    Ok(())
}
