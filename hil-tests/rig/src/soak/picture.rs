//! A soak's memory over time.

use plotters::element::PathElement;
use plotters::series::LineSeries;
use plotters::style::Color;

use super::report::Report;
use crate::plot::{FALLBACK, HEIGHT, MODEL, PlotError, QUIET, WIDTH, builder, draw, failed, mesh};

/// One SVG file.
///
/// # Errors
/// [`PlotError`] where the drawing library fails.
pub fn picture(report: &Report) -> Result<String, PlotError> {
    let mib = |kib: u32| f64::from(kib) / 1024.0;
    let minutes = |second: u64| std::time::Duration::from_secs(second).as_secs_f64() / 60.0;
    let top = report.series.iter().map(|(_, resident, _)| mib(*resident)).fold(1.0, f64::max) * 1.1;
    let end = report.series.last().map_or(1.0, |(second, ..)| minutes(*second));
    let legend = [("in RAM", MODEL), ("of it no file's", FALLBACK), ("the warm-up ends", QUIET)];
    draw((WIDTH, HEIGHT), |area| {
        let mut plane = builder(area, "The box's memory, MiB; time in minutes", &legend)?
            .build_cartesian_2d(0.0..end, 0.0..top)
            .map_err(failed)?;
        mesh(&mut plane)?;
        let warm = minutes(report.warm_up_seconds);
        plane.draw_series([PathElement::new(vec![(warm, 0.0), (warm, top)], QUIET.stroke_width(1))]).map_err(failed)?;
        let resident = report.series.iter().map(|(at, resident, _)| (minutes(*at), mib(*resident)));
        plane.draw_series(LineSeries::new(resident, MODEL.stroke_width(2))).map_err(failed)?;
        let anonymous = report.series.iter().map(|(at, _, anonymous)| (minutes(*at), mib(*anonymous)));
        plane.draw_series(LineSeries::new(anonymous, FALLBACK.stroke_width(2))).map_err(failed)?;
        Ok(())
    })
}
