//! A record in pictures: how often an inference is slower than so long, and each scene's histogram. SVG, both axes
//! logarithmic.

use std::{fmt, ops::Range, time::Duration};

use plotters::{
    chart::{ChartBuilder, ChartContext},
    coord::{
        Shift,
        combinators::{BindKeyPoints, LogCoord, WithKeyPoints},
    },
    prelude::{Cartesian2d, DrawingArea, IntoDrawingArea, IntoLogRange, PathElement, Rectangle, SVGBackend, Text},
    series::LineSeries,
    style::{Color, FontDesc, FontFamily, FontStyle, RGBColor, TextStyle},
};
use thiserror::Error;

use crate::timing::{Distribution, Quantile, Record, Scene, Timed};

/// A drawing that failed.
#[derive(Debug, Error)]
#[error("cannot draw the page: {0}; the record is not written either")]
pub(super) struct PlotError(String);

/// Points in microseconds and shares.
type Line = Vec<(f64, f64)>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Axis = WithKeyPoints<LogCoord<f64>>;
type Plane<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;

const INK: RGBColor = RGBColor(31, 41, 55);
const QUIET: RGBColor = RGBColor(107, 114, 128);
const GRID: RGBColor = RGBColor(229, 231, 235);
const BOUND: RGBColor = RGBColor(220, 38, 38);

/// The scenes' colours: blue alone, orange beside busy workers, darker with longer pauses.
const ALONE: [RGBColor; 4] =
    [RGBColor(147, 197, 253), RGBColor(59, 130, 246), RGBColor(29, 78, 216), RGBColor(23, 37, 84)];
const BESIDE: [RGBColor; 4] =
    [RGBColor(253, 186, 116), RGBColor(249, 115, 22), RGBColor(194, 65, 12), RGBColor(67, 20, 7)];
const BATCH: RGBColor = RGBColor(13, 148, 190);
const BATCH_BESIDE: RGBColor = RGBColor(190, 120, 20);
const SESSION: RGBColor = RGBColor(16, 150, 110);
const COLD: RGBColor = RGBColor(126, 34, 206);

/// What is written on the axes, in microseconds and in shares.
const ROUND_US: [f64; 19] =
    [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6];
const ROUND_SHARES: [f64; 7] = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0];

const BARS_A_DECADE: f64 = 24.0;
/// Below one inference, so that a bar of one can be seen.
const FLOOR: f64 = 0.5;

/// A scene's colour.
pub(super) fn color(scene: Scene) -> RGBColor {
    let shade = |pause_us: u32| match pause_us {
        0 => 0,
        1..=1_000 => 1,
        1_001..=10_000 => 2,
        _ => 3,
    };
    match scene {
        Scene::Cold {} => COLD,
        Scene::Session {} => SESSION,
        Scene::Batch { beside: false, .. } => BATCH,
        Scene::Batch { beside: true, .. } => BATCH_BESIDE,
        Scene::Alone { pause_us } => ALONE[shade(pause_us)],
        Scene::Beside { pause_us } => BESIDE[shade(pause_us)],
    }
}

/// Which share of inferences took longer than so long, for every warm scene.
pub(super) fn exceedance(record: &Record, wanted: Quantile) -> Result<String, PlotError> {
    let warm: Vec<_> = record.scenes().iter().filter(|timed| timed.scene.warm_pause().is_some()).collect();
    let most = warm.iter().map(|timed| timed.times_ns.samples()).max().unwrap_or(0).max(100);
    // The line of all inferences is the frame's upper edge.
    let top = 1.000_001;
    let bottom = 0.7 / number(most);
    draw((960, 420), |area| {
        let title = "Share of inferences that took longer, of all in a scene";
        let mut plane = plane(area, title, range(record), (bottom..top, &ROUND_SHARES), (20, 64))?;
        mesh(&mut plane, &share)?;
        for timed in warm {
            let color = color(timed.scene);
            let (known, rare) = curve(&timed.times_ns);
            plane.draw_series(LineSeries::new(known, color.stroke_width(2))).map_err(failed)?;
            plane.draw_series(LineSeries::new(rare, color.mix(0.45).stroke_width(1))).map_err(failed)?;
        }
        if let Some(execution) = record.execution(wanted) {
            let at = micros(execution.time);
            plane
                .draw_series([PathElement::new(vec![(at, bottom), (at, top)], BOUND.stroke_width(2))])
                .map_err(failed)?;
        }
        Ok(())
    })
}

/// How often inferences of a scene took how long.
pub(super) fn histogram(record: &Record, timed: &Timed) -> Result<String, PlotError> {
    let bars = bars(&timed.times_ns);
    let top = bars.iter().map(|(_, count)| number(*count)).fold(10.0, f64::max) * 1.6;
    draw((470, 230), |area| {
        let keys: Vec<_> = (0..9).map(|power| 10_f64.powi(power)).collect();
        let mut plane = plane(area, &capitalised(timed.scene), range(record), (FLOOR..top, &keys), (10, 56))?;
        mesh(&mut plane, &plain)?;
        let color = color(timed.scene);
        let bar = |(place, count): (Range<f64>, u64)| {
            // A small gap between bars.
            Rectangle::new([(place.start, FLOOR), (place.end * 0.985, number(count))], color.filled())
        };
        plane.draw_series(bars.into_iter().map(bar)).map_err(failed)?;
        Ok(())
    })
}

fn draw(size: (u32, u32), fill: impl FnOnce(&Area<'_>) -> Result<(), PlotError>) -> Result<String, PlotError> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&RGBColor(255, 255, 255)).map_err(failed)?;
        fill(&area)?;
        area.present().map_err(failed)?;
    }
    Ok(svg)
}

/// A chart below its title, with the times on its lower axis.
fn plane<'a, 'b>(
    area: &'a Area<'b>,
    title: &str,
    times: Range<f64>,
    (side, keys): (Range<f64>, &[f64]),
    (margin, labels): (u32, u32),
) -> Result<Plane<'a, 'b>, PlotError> {
    area.draw(&Text::new(title.to_owned(), (i32::try_from(labels).unwrap_or(0), 10), style(15, INK)))
        .map_err(failed)?;
    let keys: Vec<_> = keys.iter().copied().filter(|key| side.contains(key)).collect();
    let inside: Vec<_> = ROUND_US.into_iter().filter(|us| times.contains(us)).collect();
    ChartBuilder::on(area)
        .margin(8)
        .margin_top(36)
        .margin_right(margin)
        .x_label_area_size(26)
        .y_label_area_size(labels)
        .build_cartesian_2d(times.log_scale().with_key_points(thinned(inside)), side.log_scale().with_key_points(keys))
        .map_err(failed)
}

/// At most as many as can be read beside each other: else only the powers of ten.
fn thinned(round: Vec<f64>) -> Vec<f64> {
    const READABLE: usize = 9;
    if round.len() <= READABLE {
        return round;
    }
    round.into_iter().filter(|us| (us.log10().fract()).abs() < 1e-9).collect()
}

fn mesh(plane: &mut Plane<'_, '_>, side: &dyn Fn(&f64) -> String) -> Result<(), PlotError> {
    plane
        .configure_mesh()
        .light_line_style(GRID.mix(0.0))
        .bold_line_style(GRID)
        .axis_style(QUIET)
        .label_style(style(12, QUIET))
        .x_labels(ROUND_US.len())
        .y_labels(ROUND_SHARES.len() + 2)
        .x_label_formatter(&time)
        .y_label_formatter(side)
        .draw()
        .map_err(failed)
}

/// The times of all scenes, so that their pictures can be compared.
fn range(record: &Record) -> Range<f64> {
    let ranges = record.scenes().iter().filter_map(|timed| timed.times_ns.range());
    let (from, to) = ranges
        .fold((f64::INFINITY, 0.0_f64), |(from, to), (first, last)| (from.min(micros(first)), to.max(micros(last))));
    if from > to { 1.0..1_000.0 } else { from * 0.8..(to * 1.25).max(from * 10.0) }
}

/// The share beyond each time: as far as ten samples lie beyond it, and after that.
fn curve(times: &Distribution) -> (Line, Line) {
    let all = times.samples();
    let (mut beyond, mut known, mut rare) = (all, Vec::new(), Vec::new());
    for (time, count) in times.buckets() {
        let at = micros(time);
        let before = beyond;
        beyond -= count;
        let points = [(at, number(before) / number(all)), (at, number(beyond) / number(all))];
        let reached = points.into_iter().filter(|(_, share)| *share > 0.0);
        if beyond >= 10 {
            known.extend(reached);
        } else {
            // The two lines meet.
            rare.extend(known.last().filter(|_| rare.is_empty()).copied());
            rare.extend(reached);
        }
    }
    (known, rare)
}

/// Counts by bars of equal width on a logarithmic axis.
fn bars(times: &Distribution) -> Vec<(Range<f64>, u64)> {
    let mut bars: Vec<(i32, u64)> = Vec::new();
    for (time, count) in times.buckets() {
        let bar = bar_of(time);
        match bars.last_mut() {
            Some((last, sum)) if *last == bar => *sum += count,
            Some(_) | None => bars.push((bar, count)),
        }
    }
    let edge = |bar: i32| 10_f64.powf(f64::from(bar) / BARS_A_DECADE);
    bars.into_iter().map(|(bar, count)| (edge(bar)..edge(bar + 1), count)).collect()
}

#[allow(clippy::cast_possible_truncation, reason = "a logarithm of at most some hours, cut to a bar's number")]
fn bar_of(time: Duration) -> i32 {
    (micros(time).log10() * BARS_A_DECADE).floor() as i32
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

#[allow(clippy::cast_precision_loss, reason = "a place on a picture")]
fn number(count: u64) -> f64 {
    count as f64
}

fn capitalised(scene: Scene) -> String {
    let text = scene.to_string();
    let (first, rest) = text.split_at(1);
    first.to_uppercase() + rest
}

/// `10 us`, `2 ms`: the axis has round numbers only.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "the drawing library's signature")]
fn time(micros: &f64) -> String {
    match *micros {
        ..999.0 => format!("{micros:.0} µs"),
        ..999_000.0 => format!("{:.0} ms", micros / 1e3),
        _ => format!("{:.0} s", micros / 1e6),
    }
}

/// `1 in 1,000`.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "the drawing library's signature")]
fn share(share: &f64) -> String {
    let digits = format!("{:.0}", 1.0 / share);
    let grouped: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    if digits == "1" { "all".to_owned() } else { format!("1 in {}", grouped.join(",")) }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the drawing library's signature")]
fn plain(value: &f64) -> String {
    format!("{value}")
}

fn style(size: u32, color: RGBColor) -> TextStyle<'static> {
    FontDesc::new(FontFamily::SansSerif, f64::from(size), FontStyle::Normal).color(&color)
}

fn failed(error: impl fmt::Display) -> PlotError {
    PlotError(error.to_string())
}
